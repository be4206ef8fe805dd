"""What can be scored: P2D, other tools, and the controls that a score needs."""
