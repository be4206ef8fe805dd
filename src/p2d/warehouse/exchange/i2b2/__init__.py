"""The i2b2 1.8 star schema."""
