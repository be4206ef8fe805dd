"""List files: what a study sends as a table, CSV ``kind,pseudonym,study,start,end,calendar`` in UTF-8.

Only ``pseudonym`` is needed; ``kind`` is ``patient`` where the column is absent or empty.
"""

import csv
import io
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.model.request import Target, parse_target

COLUMNS: Final = ("kind", "pseudonym", "study", "start", "end", "calendar")


def parse_list(text: str) -> tuple[Target, ...]:
    """Return the targets of a list file's *text*.

    Raises:
        InvalidRequest: an unknown column, no row, or a value that is malformed, by line and column.

    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    unknown = sorted(set(names) - set(COLUMNS))
    if "pseudonym" not in names or unknown:
        problem = "has a column that is not known" if unknown else "has no column 'pseudonym'"
        raise InvalidRequest("list file", problem, f"columns: {','.join(COLUMNS)}")
    try:
        rows = list(reader)
    except csv.Error:
        raise InvalidRequest(
            "list file", "is not CSV", "write one row a line, comma-separated, UTF-8"
        ) from None
    targets = [_target(row, reader_line) for reader_line, row in enumerate(rows, start=2)]
    if not targets:
        raise InvalidRequest("list file", "is empty", "add one row for each pseudonym")
    return tuple(targets)


def _target(row: dict[str, str | None], line: int) -> Target:
    if None in row:
        raise InvalidRequest(f"line {line}", "has more cells than columns", "quote cells that hold a comma")
    cells = {name: cell.strip() for name, cell in row.items() if cell and cell.strip()}
    return parse_target(cells, f"line {line}")
