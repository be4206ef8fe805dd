"""The completeness table: its columns carry the ledger's lines, its CSV reads back."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from p2d.jobs.completeness import COLUMNS, as_csv, rows
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.register import Finding, Inconsistency

numbers = st.integers(0, 50)
lines = st.builds(
    SeriesCounts,
    patient=st.text(min_size=1, max_size=5),
    study=st.just("2.25.1"),
    series=st.just("2.25.2"),
    expected=numbers,
    received=numbers,
    released=numbers,
    duplicate=numbers,
    refused=numbers,
    withheld=st.dictionaries(st.sampled_from(["undecodable", "leak, maybe"]), numbers),
)


@given(st.lists(st.tuples(lines, st.integers(1, 3)), max_size=5))
def test_csv_reads_back_as_the_rows(some: list[tuple[SeriesCounts, int]]) -> None:
    read = list(csv.DictReader(io.StringIO("".join(as_csv(some)), newline="")))

    assert read == [{name: str(value) for name, value in row.items()} for row in rows(some)]
    for row, (line, retries) in zip(rows(some), some, strict=True):
        assert tuple(row) == COLUMNS
        assert (row["retries"], row["missing"]) == (retries, line.missing)
        assert row["withheld"] == sum(line.withheld.values())


def test_an_empty_ledger_is_a_header() -> None:
    assert "".join(as_csv([])) == ",".join(COLUMNS) + "\r\n"


def test_every_inconsistency_is_explained_and_written_by_name() -> None:
    assert all(kind.explanation.endswith(".") for kind in Inconsistency)
    assert Finding(Inconsistency.GONE, "P", "S").as_json()["kind"] == "gone"
