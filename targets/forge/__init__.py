"""Git authority and the forges: mirrors, pushes from a quarantine, pull requests."""
