"""Vaults: folders of notes that people keep, read and searched where they lie."""
