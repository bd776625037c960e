"""What we keep: tables, the event log, the effect ledger and blobs."""
