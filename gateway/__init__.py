"""The process that answers: HTTP and the event stream."""
