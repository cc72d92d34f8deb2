"""What an operator sees of the gateway: metrics, log lines, traces.  Nothing in it decides anything about a call."""
