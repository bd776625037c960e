"""The `anthropic` dialect: the Messages API."""
