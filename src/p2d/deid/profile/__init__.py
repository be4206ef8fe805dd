"""Which action each attribute gets: PS3.15 Annex E with options, modes and project files."""
