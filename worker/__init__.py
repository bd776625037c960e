"""The process that acts: bodies of the ports, wiring and main."""
