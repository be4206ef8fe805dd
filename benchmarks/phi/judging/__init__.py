"""Hold what a tool made of the planted files to the answer key."""
