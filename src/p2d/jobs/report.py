"""What a run amounted to: its numbers, whether they add up, and the table a human reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

FINISHED = ("done", "absent", "unresolved")
"""States of a patient that need no further work; ``parked`` was given up, the others are still to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; times are seconds since the epoch.

    ``patients_done`` counts patients that need no further work: confirmed by a receipt, without images, or
    unknown to identity management. ``patients_leased`` are with workers now; ``patients_per_minute`` is the
    pace of the last one or two minutes.
    """

    patients_total: int
    patients_done: int
    parked: int
    images_expected: int
    images_received: int
    images_released: int
    started_at: float
    updated_at: float
    state: str = ""
    patients_pending: int = 0
    patients_leased: int = 0
    priority: int = 0
    patients_per_minute: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this pace; None when there is no pace."""
        if not self.patients_pending:
            return 0.0
        return self.patients_pending * 60 / self.patients_per_minute if self.patients_per_minute else None

    def as_json(self) -> dict[str, object]:
        """Return the progress as JSON-like data; times are seconds."""
        left = self.seconds_left
        return {
            "state": self.state,
            "priority": self.priority,
            "patients_total": self.patients_total,
            "patients_done": self.patients_done,
            "patients_parked": self.parked,
            "patients_pending": self.patients_pending,
            "patients_leased": self.patients_leased,
            "images_expected": self.images_expected,
            "images_received": self.images_received,
            "images_released": self.images_released,
            "patients_per_minute": round(self.patients_per_minute, 1),
            "seconds_left": None if left is None else round(left),
            "started_at": self.started_at,
            "updated_at": self.updated_at,
        }


@dataclass(frozen=True, slots=True)
class Patients:
    """The patients of a run by state; ``pending`` includes those extracted but not yet confirmed."""

    total: int
    done: int
    absent: int
    unresolved: Mapping[str, int]
    parked: Mapping[str, int]
    pending: int

    @property
    def adds_up(self) -> bool:
        """Whether every patient is in exactly one state."""
        finished = self.done + self.absent + sum(self.unresolved.values())
        return self.total == finished + sum(self.parked.values()) + self.pending


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run in numbers; images are counted as in ``SeriesCounts``.

    ``lines_adding_up`` says that each line does and that the run's own totals equal their sums.
    """

    run_id: str
    kind: str
    user: str
    request: Mapping[str, object]
    state: str
    patients: Patients
    expected: int
    received: int
    missing: int
    released: int
    withheld: Mapping[str, int]
    duplicate: int
    refused: int
    series: int
    studies: int
    notes: tuple[str, ...]
    lines_adding_up: bool
    started_at: float
    updated_at: float
    priority: int = 0
    inconsistencies: Mapping[str, int] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether every line, the totals and the patients add up."""
        parts = self.released + sum(self.withheld.values()) + self.duplicate + self.refused
        totals = self.expected == self.received + self.missing and self.received == parts
        return self.lines_adding_up and totals and self.patients.adds_up

    @property
    def is_complete(self) -> bool:
        """Whether it adds up and nothing is missing, given up or still to do."""
        return (
            self.adds_up
            and not self.missing
            and not self.patients.pending
            and not any(self.patients.parked.values())
        )

    def as_json(self) -> dict[str, object]:
        """Return the report as JSON-like data."""
        return {
            "run_id": self.run_id,
            "kind": self.kind,
            "user": self.user,
            "request": dict(self.request),
            "state": self.state,
            "priority": self.priority,
            "patients": {
                "total": self.patients.total,
                "done": self.patients.done,
                "absent": self.patients.absent,
                "unresolved": dict(self.patients.unresolved),
                "parked": dict(self.patients.parked),
                "pending": self.patients.pending,
            },
            "images": {
                "expected": self.expected,
                "received": self.received,
                "missing": self.missing,
                "released": self.released,
                "withheld": dict(self.withheld),
                "duplicate": self.duplicate,
                "refused": self.refused,
            },
            "series": self.series,
            "studies": self.studies,
            "inconsistencies": dict(self.inconsistencies),
            "notes": list(self.notes),
            "adds_up": self.adds_up,
            "is_complete": self.is_complete,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
        }


def render(report: RunReport) -> str:
    """Return *report* as a table of aligned numbers with its verdict as last line."""
    rows: list[tuple[str, int]] = [
        ("Patients", report.patients.total),
        ("  done", report.patients.done),
        ("  without images", report.patients.absent),
        *((f"  unresolved: {reason}", n) for reason, n in sorted(report.patients.unresolved.items())),
        *((f"  given up: {reason}", n) for reason, n in sorted(report.patients.parked.items())),
        ("  to do", report.patients.pending),
        ("Studies", report.studies),
        ("Series", report.series),
        ("Images expected", report.expected),
        ("  received", report.received),
        ("  missing", report.missing),
        ("Of the received", report.received),
        ("  released", report.released),
        *((f"  withheld: {reason}", n) for reason, n in sorted(report.withheld.items())),
        ("  duplicate", report.duplicate),
        ("  refused", report.refused),
        *([("Inconsistencies", sum(report.inconsistencies.values()))] if report.inconsistencies else []),
        *((f"  {kind}", n) for kind, n in sorted(report.inconsistencies.items())),
    ]
    label_width = max(len(label) for label, _ in rows)
    number_width = max(len(f"{number:,}") for _, number in rows)
    table = [f"{label:<{label_width}}  {number:>{number_width},}" for label, number in rows]
    notes = [f"Note: {note}" for note in report.notes]
    return "\n".join([f"Run {report.run_id}: {report.state}", *table, *notes, _verdict(report)])


def _verdict(report: RunReport) -> str:
    if not report.adds_up:
        return "The ledger does NOT add up."
    if not report.is_complete:
        return "The ledger adds up; the run is not complete."
    return "The ledger adds up; the run is complete."
