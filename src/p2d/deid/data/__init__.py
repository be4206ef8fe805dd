"""Tables of de-identification, each with where it comes from: PS3.15 and PS3.3 as data, bulk, vocabulary."""
