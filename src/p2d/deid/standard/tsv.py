"""The table files of ``p2d.deid.data``: tab-separated, ``#`` lines say where a table comes from."""

from importlib import resources


def lines_of(file: str) -> list[str]:
    """Return the lines of the table *file* without the comment lines at its head.

    Raises:
        FileNotFoundError: the package holds no such table.

    """
    text = resources.files("p2d.deid.data").joinpath(file).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def rows_of(file: str) -> tuple[list[str], list[list[str]]]:
    """Return the column names and the rows of the table *file*."""
    columns, *rows = (line.split("\t") for line in lines_of(file))
    return columns, rows
