"""The words: ids, nouns, events, faults and canonical JSON."""
