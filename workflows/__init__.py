"""The durable story of a run, and the ports that it speaks through."""
