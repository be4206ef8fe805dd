"""Nouns: frozen, no I/O."""
