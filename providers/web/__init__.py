"""What is asked of the web: pages, fetched past a guard, and searches."""
