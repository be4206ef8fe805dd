"""Alembic's folder: what runs revisions, and the revisions."""
