"""Use cases of the research zone."""
