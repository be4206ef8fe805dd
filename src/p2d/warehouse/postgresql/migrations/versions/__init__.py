"""The revisions of the tables, each with its SQL beside it."""
