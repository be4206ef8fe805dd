"""Settings files as frozen types."""
