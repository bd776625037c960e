"""What is missing or weak on this machine, and how to mend it."""
