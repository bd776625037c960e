"""Chat Completions, as the many backends that claim to speak it really do."""
