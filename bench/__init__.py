"""Commands that measure Rhone against the bare parts that it stands on, both in one run."""
