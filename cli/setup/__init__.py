"""Set-up: what one machine needs before the runtime starts, installed or built once."""
