"""The completeness ledger as a table: one row a series, sums that must hold, withheld by reason."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from p2d.jobs.counts import SeriesCounts

COLUMNS: Final = (
    "patient",
    "study",
    "series",
    "retries",
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
    """Yield one row for each line and the failed attempts of its patient, by the names of ``COLUMNS``."""
    for line, retries in lines:
        yield {
            "patient": line.patient,
            "study": line.study,
            "series": line.series,
            "retries": retries,
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
    return csv_of(COLUMNS, rows(lines))


def csv_of(columns: Sequence[str], some: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Yield *some* rows as CSV (RFC 4180) under a header of *columns*, in pieces of one row."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns)
    writer.writeheader()
    for row in some:
        yield _taken(buffer)
        writer.writerow(row)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
