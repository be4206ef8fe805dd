"""REST interface and pages of the warehouse."""
