"""What broke between dialects in other gateways, each failure a named test through the running gateway."""
