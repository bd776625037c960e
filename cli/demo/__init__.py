"""The demo: one run from a failing test to a pull request, with a worker that dies on the way."""
