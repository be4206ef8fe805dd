"""What a form is, and how an export runs: patients in ranges, so that memory holds one range at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from p2d.model.errors import Unavailable
from p2d.warehouse.exchange.dictionary import conformed, layouts
from p2d.warehouse.exchange.sinks import Sink
from p2d.warehouse.exchange.source import Source
from p2d.warehouse.exchange.workbench import Workbench

RANGE_WEIGHT: Final = 500_000
"""Rows of facts, or what takes as much memory, that are worked on at once."""

Rows = tuple[str, pa.Table]


class Form(Protocol):
    """One way to put the warehouse's content; an object serves one export."""

    @property
    def name(self) -> str:
        """The form's name, and that of its data dictionary."""
        ...

    def begin(self, bench: Workbench, source: Source) -> Iterator[Rows]:
        """Yield what does not belong to patients and comes first."""
        ...

    def part(self, bench: Workbench) -> Iterator[Rows]:
        """Yield the rows of the patients that *bench* holds, tables in the order of the dictionary."""
        ...

    def end(self, bench: Workbench) -> Iterator[Rows]:
        """Yield what is known only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export is: ranges of patients (of a dump: tables) worked through, rows written."""

    ranges: int
    rows: int


def run(
    form: Form,
    source: Source,
    bench: Workbench,
    sink: Sink,
    show: Callable[[Progress], None] = lambda _: None,
    weight: int = RANGE_WEIGHT,
) -> Mapping[str, int]:
    """Write *source* to *sink* in *form* and return the rows of each table.

    *show* may raise to stop the export.

    Raises:
        Unavailable: a value does not fit the form, such as an id beyond its range.

    """
    counts = dict.fromkeys(layouts(form.name), 0)

    def write(rows: Iterator[Rows]) -> None:
        for table, found in rows:
            try:
                fitting = conformed(layouts(form.name)[table], found)
            except pa.ArrowInvalid:
                problem = "holds a value that does not fit the form's type"
                raise Unavailable(f"{form.name}.{table}", problem, "see docs/reference/exchange.md") from None
            sink.write(table, fitting)
            counts[table] += fitting.num_rows

    write(form.begin(bench, source))
    for number, patients in enumerate(source.ranges(weight), 1):
        with bench.holding(source, patients):
            write(form.part(bench))
        show(Progress(number, sum(counts.values())))
    write(form.end(bench))
    bench.forget_others()
    sink.finish()
    return counts


def empty(form: str) -> Iterator[Rows]:
    """Yield every table of *form* without rows, so that each has its file even where nothing is in it."""
    for name, layout in layouts(form).items():
        yield name, layout.schema.empty_table()
