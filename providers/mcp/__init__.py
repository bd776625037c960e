"""MCP servers: how they are reached, what they list, and how one call of theirs is made."""
