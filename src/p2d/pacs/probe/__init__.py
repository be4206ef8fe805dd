"""Find out what an archive really does: by asking, comparing with what is known, and counting the cost."""
