"""The completeness ledger as a table: one row a series, sums that must hold, withheld by reason."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from p2d.jobs.counts import SeriesCounts

COLUMNS: Final = (
    "patient",
    "study",
    "series",
    "attempts",
    "expected",
    "received",
    "missing",
    "released",
    "withheld",
    "duplicate",
    "refused",
    "withheld_reasons",
    "adds_up",
)


def rows(lines: Iterable[tuple[SeriesCounts, int]]) -> Iterator[dict[str, object]]:
    """Yield one row for each line and the attempts its patient took, by the names of ``COLUMNS``."""
    for line, attempts in lines:
        yield {
            "patient": line.patient,
            "study": line.study,
            "series": line.series,
            "attempts": attempts,
            "expected": line.expected,
            "received": line.received,
            "missing": line.missing,
            "released": line.released,
            "withheld": sum(line.withheld.values()),
            "duplicate": line.duplicate,
            "refused": line.refused,
            "withheld_reasons": "; ".join(f"{why}: {n}" for why, n in sorted(line.withheld.items())),
            "adds_up": line.adds_up,
        }


def as_csv(lines: Iterable[tuple[SeriesCounts, int]]) -> Iterator[str]:
    """Yield the table as CSV (RFC 4180) with a header, in pieces of one row."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    for row in rows(lines):
        yield _taken(buffer)
        writer.writerow(row)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
