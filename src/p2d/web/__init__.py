"""HTTP edge of the three processes."""
