"""Tables of de-identification: PS3.15 Table E.1-1 and the vocabulary, each with where it comes from."""
