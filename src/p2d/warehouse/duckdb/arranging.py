"""Rewrite tables in the order in which queries read them: loads leave each batch sorted, not the whole.

One table is one transaction: what is interrupted leaves the tables before it arranged and the others as they
were, and done again goes on there, since a table in order is left alone.
"""

from collections.abc import Mapping
from typing import Final

import duckdb

ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "fact": ("attribute", "patient_key"),
    "term": ("term", "document_key"),
    "clinical_case": ("patient_key",),
    "document": ("patient_key",),
    "study": ("patient_key",),
    "series": ("patient_key", "study_key"),
    "instance": ("patient_key", "series_key"),
    "header": ("keyword", "patient_key"),
    "study_document": ("patient_key",),
}


def is_arranged(cursor: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether *table*, a key of ``ORDERS``, is in its order."""
    columns = ORDERS[table]
    lagged = ", ".join(
        f'"{column}" AS c{n}, lag("{column}") OVER () AS l{n}' for n, column in enumerate(columns)
    )
    behind = " OR (c0 = l0 AND c1 < l1)" if len(columns) > 1 else ""
    rows = cursor.execute(f"SELECT 1 FROM (SELECT {lagged} FROM {table}) WHERE c0 < l0{behind} LIMIT 1")  # noqa: S608 - names of ORDERS
    return not rows.fetchall()


def arrange(cursor: duckdb.DuckDBPyConnection, table: str) -> None:
    """Rewrite *table*, a key of ``ORDERS``, in its order."""
    order = ", ".join(f'"{column}"' for column in ORDERS[table])
    made = cursor.execute("SELECT sql FROM duckdb_tables() WHERE table_name = $1", [table]).fetchall()
    _, _, columns = str(made[0][0]).partition("(")
    cursor.execute(f"CREATE TABLE arranged({columns}")
    cursor.execute(f"INSERT INTO arranged SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - names of ORDERS
    cursor.execute(f"DROP TABLE {table}")
    cursor.execute(f"ALTER TABLE arranged RENAME TO {table}")
