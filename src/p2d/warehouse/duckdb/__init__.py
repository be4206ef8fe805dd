"""The warehouse in one DuckDB file: engine, load protocol, links, upkeep."""
