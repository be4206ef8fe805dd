"""The warehouse on a PostgreSQL server; needs the extra ``p2d[postgresql]``."""
