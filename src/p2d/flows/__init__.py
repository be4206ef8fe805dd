"""Use cases; loops and retries live here."""
