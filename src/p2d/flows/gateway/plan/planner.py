"""A plan for a bulk run: what each approach would cost, and which one to take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from p2d.access.caller import Caller
from p2d.access.check import check_bulk
from p2d.audit.refusals import refusals_recorded
from p2d.flows.gateway.forms import check_forms
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.plan.prediction import APPROACHES, Interval, Pace, Prediction, predict
from p2d.flows.gateway.plan.sampling import Sample, Sampler, Watch
from p2d.model.errors import InvalidRequest
from p2d.model.level import Kind
from p2d.model.request import Request
from p2d.pacs.governor.governed import GovernedPacs

_GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a plan itself may ask of the archive.

    At most ``counted`` patients (about one query each), ``timed`` patients (run through every approach), at
    most ``images`` moved for them. Counting ends before where the 90 % interval of images and series is
    within ``precision`` of the estimate.
    """

    counted: int = 1000
    timed: int = 12
    images: int = 3000
    precision: float = 0.12


EFFORTS: Final = {
    "low": Effort(200, 6, 500, 0.25),
    "normal": Effort(),
    "high": Effort(5000, 24, 20_000, 0.06),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Predictions for ``patients`` patients, cheapest approach first, and the one recommended.

    ``recommended`` is the richest approach that is done within ``within_days`` at the upper end of its
    interval; None where none is.
    """

    archive: str
    patients: int
    predictions: Sequence[Prediction]
    recommended: Prediction | None
    within_days: float
    sample: Sample

    def as_json(self) -> dict[str, object]:
        """Return the plan as JSON-like data."""
        sample = self.sample
        return {
            "archive": self.archive,
            "patients": self.patients,
            "approaches": [one.as_json() for one in self.predictions],
            "within_days": self.within_days,
            "recommended": self.recommended.approach.name if self.recommended else None,
            "sample": {
                "patients_counted": len(sample.counted),
                "patients_unknown": sample.unknown,
                "patients_failed": sample.failed,
                "patients_timed": max((len(timed) for timed in sample.timed.values()), default=0),
                "queries": sample.cost.finds,
                "images_moved": sample.cost.instances,
                "octets": sample.cost.octets,
                "seconds": round(sample.seconds, 1),
            },
        }


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans on one gateway, at a *pace* of its own or at that of its archives' governors."""

    gateway: Gateway
    pace: Pace | None = None

    def plan(
        self,
        request: Request,
        caller: Caller,
        *,
        patients: int | None = None,
        within_days: float = 7.0,
        effort: Effort = Effort(),
        watch: Watch = lambda *_: None,
    ) -> Plan:
        """Sample the patients of *request* and predict every approach for them.

        With *patients* the predictions are for that many, of whom those of the request are a sample.

        Raises:
            Refused: the caller is no operator.
            InvalidRequest: other identifiers than patients, fewer *patients* than the request names, or
                none of those sampled has images.
            Unavailable: no sampled patient could be timed, or a peer does not answer.

        """
        with refusals_recorded(self.gateway.audit, action="plan", user=caller.user):
            check_bulk(caller)
            named = _patients(request)
            if patients is not None and patients < named:
                raise InvalidRequest("patients", f"is less than the {named} named", "leave it out")
            check_forms(request.targets, self.gateway.patient_form)
        total = patients or named
        subject = {"patients": named, "counted": effort.counted, "timed": effort.timed}
        with self.gateway.audit.query(action="plan", user=caller.user, session="", subject=subject) as entry:
            sampler = Sampler(self.gateway, request, total, effort.precision)
            sample = sampler.take(effort.counted, effort.timed, effort.images, watch)
            entry.outcome(queries=sample.cost.finds, images=sample.cost.instances)
        pace = self.pace or pace_of(self.gateway)
        predictions = [
            predict(approach, total, sample.counted, timed, pace)
            for approach in APPROACHES
            if (timed := sample.timed.get(approach))
        ]
        fitting = [one for one in predictions if one.days.high <= within_days]
        recommended = fitting[-1] if fitting else None
        return Plan(self.gateway.pacs.name, total, predictions, recommended, within_days, sample)


def pace_of(gateway: Gateway) -> Pace:
    """Return the pace of the slowest of the gateway's archives; of an ungoverned one there is none."""
    governed = [one for one in gateway.archives or () if isinstance(one, GovernedPacs)]
    paces = [Pace.of(one.settings.limits, one.settings.windows) for one in governed]
    return min(paces, key=lambda one: (one.hours_per_week, one.images_per_minute), default=Pace())


def _patients(request: Request) -> int:
    if any(target.kind is not Kind.PATIENT for target in request.targets):
        raise InvalidRequest("identifiers.kind", "is not patient", "a plan is for bulk runs: name patients")
    return len({target.pseudonym for target in request.targets})


def render(plan: Plan) -> str:
    """Return *plan* as a table with its recommendation and what it cost the archive."""
    heading = ("Approach", "rows", "images moved", "GiB", "queries", "hours", "days")
    rows = [
        (
            one.approach.name,
            _count(one.rows),
            _count(one.moved),
            _range(_scaled(one.octets, _GIB), 1),
            _count(one.queries),
            _range(one.hours, 2),
            _range(one.days, 2),
        )
        for one in plan.predictions
    ]
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heading, *rows)
    ]
    return "\n".join(
        [
            f"Plan for {plan.patients:,} patients in archive {plan.archive}; 90 % intervals",
            *lines,
            _advice(plan),
            _spent(plan.sample),
        ]
    )


def _spent(sample: Sample) -> str:
    cost = sample.cost
    return (
        f"This plan counted {len(sample.counted):,} patients ({sample.unknown:,} unknown to identity "
        f"management, {sample.failed:,} attempts failed) and cost the archive {cost.finds:,} queries, "
        f"{cost.instances:,} images and {cost.octets / 2**20:,.1f} MiB in {sample.seconds:.0f} s."
    )


def _advice(plan: Plan) -> str:
    if plan.recommended is None:
        return f"No approach is sure to be done within {plan.within_days:g} days: allow more, or name fewer."
    return (
        f"Recommended: {plan.recommended.approach.name}, the richest that is done within "
        f"{plan.within_days:g} days."
    )


def _scaled(interval: Interval, unit: float) -> Interval:
    return Interval(interval.estimate / unit, interval.low / unit, interval.high / unit)


def _count(interval: Interval) -> str:
    return _range(interval, 0)


def _range(interval: Interval, digits: int) -> str:
    if interval.low == interval.high:
        return f"{interval.estimate:,.{digits}f}"
    return f"{interval.estimate:,.{digits}f} ({interval.low:,.{digits}f}-{interval.high:,.{digits}f})"
