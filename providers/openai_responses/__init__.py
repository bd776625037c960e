"""OpenAI Responses: typed items in, typed items out, nothing kept on the other side."""
