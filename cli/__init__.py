"""The command rhone, which composes the processes on one machine."""
