"""Hash-chained record of who asked what."""
