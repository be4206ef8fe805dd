"""Pseudonym ⇄ identifier: port, connectors and the service's core."""
