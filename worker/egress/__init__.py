"""The egress proxy, a process of its own: the one way out of a box that has any."""
