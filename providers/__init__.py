"""Whom we ask: model dialects behind one small interface."""
