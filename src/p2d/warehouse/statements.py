"""Plain SQL that every engine reads alike, for what is no cohort query: loads, lists, receipts.

``$name`` in a statement is a bound parameter, which an engine translates. The text of a statement is a
constant of this package, never a value.
"""

from typing import Any, Protocol

Row = tuple[Any, ...]


class Statements(Protocol):
    """A transaction under way."""

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        """Run *statement* and return its rows, if it has any."""
        ...


def scalar(session: Statements, statement: str, /, **values: object) -> int:
    """Return the one whole number that *statement* selects; 0 for none."""
    rows = session.rows(statement, **values)
    return int(rows[0][0]) if rows and rows[0][0] is not None else 0
