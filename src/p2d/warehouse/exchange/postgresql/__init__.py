"""PostgreSQL as the place that exports go to, and as a warehouse that they come from."""
