"""Use cases of the hospital zone."""
