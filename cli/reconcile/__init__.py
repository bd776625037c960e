"""Whether records, engine, containers and forge tell the same story."""
