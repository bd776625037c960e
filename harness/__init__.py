"""What a run does next: state to step, and the context of a model call."""
