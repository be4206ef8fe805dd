"""What the warehouse holds, in words: a tree of attributes with names, units, counts and distributions."""
