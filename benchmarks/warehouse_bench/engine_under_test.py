"""The warehouse itself as the benchmark uses it: loaded batch by batch, and asked in the cohort language."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.query.answers import Answers
from p2d.warehouse.query.criterion_cache import CriterionCache
from p2d.warehouse.query.facets import MOST_CELLS
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.results import FacetRequest, ResultTable
from p2d.warehouse.query.session import Session
from warehouse_bench.answers import Row
from warehouse_bench.dataset import Dataset
from warehouse_bench.questions import Question

PREVIEW: Final = 10


class Engine(Protocol):
    """What is loaded and asked: ``DuckDbWarehouse`` or ``PostgresWarehouse``."""

    def session(self) -> AbstractContextManager[Session]:
        """Open a snapshot for one question."""
        ...

    def load(self, batch: Batch) -> Receipt:
        """Commit *batch*."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(slots=True)
class Loaded:
    """What loading took, by what was loaded: facts, rows, seconds."""

    facts: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def facts_per_second(self, *apart: str) -> float:
        """All facts by all seconds, without what is loaded as one of *apart*."""
        kinds = [kind for kind in self.seconds if kind not in apart]
        return sum(self.facts[kind] for kind in kinds) / sum(self.seconds[kind] for kind in kinds)


def load(engine: Engine, dataset: Dataset, say: Callable[[str], None]) -> Loaded:
    """Load all batches of *dataset*; only the loader's own time counts, not reading the files."""
    loaded = Loaded()
    for kind, batch, facts in dataset.batches():
        began = time.perf_counter()
        engine.load(batch)
        seconds = time.perf_counter() - began
        rows = sum(table.num_rows for table in batch.tables.values())
        say(f"  {batch.batch_id}: {rows:,} rows, {facts:,} facts, {seconds:.1f} s")
        for totals, more in ((loaded.facts, facts), (loaded.rows, rows)):
            totals[kind] = totals.get(kind, 0) + more
        loaded.seconds[kind] = loaded.seconds.get(kind, 0.0) + seconds
    return loaded


@dataclass(frozen=True, slots=True)
class Again:
    """Rows a second of a batch half of whose rows are changed, and of one known by its digest."""

    changed: float
    known: float


def load_again(engine: Engine, dataset: Dataset) -> Again:
    """Load the first batch of series with half of its descriptions changed, then known facts."""
    series = dataset.table("series", 0)
    is_changed = pa.array(np.arange(series.num_rows) % 2 == 0)
    place = series.schema.get_field_index("SeriesDescription")
    described = pc.if_else(is_changed, "changed", series["SeriesDescription"])
    changed = Batch(
        "bench-changed",
        "basic",
        "bench-basic",
        {"series": series.set_column(place, "SeriesDescription", described)},
    )
    known = next(batch for kind, batch, _ in dataset.batches() if kind == "facts")
    known_rows = sum(table.num_rows for table in known.tables.values())
    return Again(series.num_rows / _seconds(engine, changed), known_rows / _seconds(engine, known))


def _seconds(engine: Engine, batch: Batch) -> float:
    began = time.perf_counter()
    engine.load(batch)
    return time.perf_counter() - began


class _Through(Answers):
    """Answers out of another's sessions, with a criterion cache of its own."""

    def __init__(self, engine: Engine, cache: CriterionCache) -> None:
        super().__init__(cache)
        self._engine = engine

    def session(self) -> AbstractContextManager[Session]:
        """Open a snapshot of the engine."""
        return self._engine.session()


class Compiled:
    """Questions asked in the cohort language; what criteria found is kept between previews only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._uncached = _Through(engine, CriterionCache(0))
        self._cached = self._uncached
        self.forget()

    def forget(self) -> None:
        """Empty the criterion cache; what attributes there are stays known."""
        self._cached = _Through(self._engine, CriterionCache())
        self._cached.catalogue()

    def preview(self, question: Question) -> ResultTable:
        """Return the preview of *question*, criteria cached: ten rows with the paper's columns."""
        return self._cached.table(parse(question.document), PREVIEW)

    def rows(self, question: Question) -> Sequence[Row | str]:
        """Return the answer to *question*, nothing cached: pseudonyms, or the cells of a facet as rows."""
        query = parse(question.document)
        if not question.is_facet:
            return self._uncached.cohort(query)
        facet = self._uncached.facet(query, FacetRequest(question.dimensions, Frame.SERIES, MOST_CELLS))
        return sorted((*labels, tally.number) for labels, tally in facet.cells)
