"""Keeping the processes of one machine alive: children that end with their supervisor."""
