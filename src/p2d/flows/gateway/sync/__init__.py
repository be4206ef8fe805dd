"""Incremental sync: what is new, changed or gone in the archives since it was last extracted."""
