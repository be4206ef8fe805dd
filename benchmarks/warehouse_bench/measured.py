"""What is known of one engine at one size, and what it has to reach at the full one."""

from dataclasses import dataclass
from typing import Final

from warehouse_bench.answers import Answers
from warehouse_bench.baselines import Filled
from warehouse_bench.engine_under_test import Again, Loaded


@dataclass(frozen=True, slots=True)
class Targets:
    """Seconds at most, rows and facts a second at least."""

    preview_seconds: float
    changed_seconds: float
    further_seconds: float
    facts_per_second: float
    changed_per_second: float
    known_per_second: float
    times_by_hand: float = 1.2


TARGETS: Final = {
    "duckdb": Targets(0.120, 0.030, 1.0, 500_000, 100_000, 300_000),
    "postgresql": Targets(1.0, 0.200, 3.0, 100_000, 40_000, 300_000),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one engine at one size; ``index_seconds`` is what the load left for afterwards.

    ``loaded`` and ``again`` are None where files of an earlier run were asked.
    """

    engine: str
    facts: int
    patients: int
    loaded: Loaded | None
    again: Again | None
    bytes: int
    answers: Answers
    index_seconds: float = 0.0
    eav: Filled | None = None
