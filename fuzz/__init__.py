"""Hostile input by the million: what the test suite does in small.  `make fuzz` runs it; see docs/reliability.md."""
