"""The word index of documents: which words, in lower case, stand in which text.

A term is a run of letters, marks and digits. The table follows every load; it is as sorted as its loads left
it until it is arranged.
"""

from typing import Final

import duckdb

_WORDS: Final = r"[\pL\pM\pN]+"
_OF: Final = (
    f"""SELECT DISTINCT unnest(regexp_extract_all(lower("text"), '{_WORDS}')) AS term, document_key FROM """  # noqa: S608 - a constant
)


def index_documents(cursor: duckdb.DuckDBPyConnection, table: str) -> None:
    """Index the texts of *table* (document_key, text) anew and forget what was known of these documents."""
    cursor.execute(f"DELETE FROM term WHERE document_key IN (SELECT document_key FROM {table})")  # noqa: S608 - a name of this package
    cursor.execute(f'INSERT INTO term SELECT * FROM ({_OF} {table} WHERE "text" IS NOT NULL) ORDER BY ALL')  # noqa: S608 - as above


def rebuild(cursor: duckdb.DuckDBPyConnection) -> None:
    """Index all documents anew."""
    cursor.execute("DELETE FROM term")
    cursor.execute(f'INSERT INTO term SELECT * FROM ({_OF} document WHERE "text" IS NOT NULL) ORDER BY ALL')  # noqa: S608 - as above
