"""The last look at what is about to leave."""
