"""Durable runs and the completeness ledger."""
