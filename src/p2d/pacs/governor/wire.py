"""The port's values as JSON, for the socket and for REST."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from p2d.pacs.governor.port import (
    Ask,
    Ending,
    Latency,
    Lease,
    Load,
    Operation,
    Rate,
    Report,
    Resource,
    Wait,
    Why,
    WorkClass,
)

Json = dict[str, Any]


def ask_out(ask: Ask) -> Json:
    """Return *ask* as JSON."""
    return {
        "class": ask.work_class,
        "operation": ask.operation,
        "ticket": ask.ticket,
        "needs": dict(ask.needs),
        "ahead": ask.ahead,
        "continues": ask.continues,
    }


def ask_in(values: Json) -> Ask:
    """Return the ask of JSON.

    Raises:
        KeyError, TypeError, ValueError: it is none.

    """
    return Ask(
        WorkClass(values["class"]),
        Operation(values["operation"]),
        str(values["ticket"])[:64],
        _amounts(values["needs"]),
        int(values["ahead"]),
        bool(values["continues"]),
    )


def report_out(report: Report) -> Json:
    """Return *report* as JSON."""
    return {
        "used": dict(report.used),
        "latencies": {kind: list(times) for kind, times in report.latencies.items()},
        "ending": report.ending,
    }


def report_in(values: Json) -> Report:
    """Return the report of JSON.

    Raises:
        KeyError, TypeError, ValueError: it is none.

    """
    ending = values["ending"]
    return Report(
        _amounts(values["used"]),
        {Latency(kind): [_positive(one) for one in times] for kind, times in values["latencies"].items()},
        Ending(ending) if ending else None,
    )


def answer_out(answer: Lease | Wait) -> Json:
    """Return the answer to an ask as JSON."""
    if isinstance(answer, Wait):
        return {"wait": answer.seconds, "why": answer.why}
    return {"lease": answer.lease_id, "lent": dict(answer.lent), "probe": answer.is_probe}


def answer_in(values: Json) -> Lease | Wait:
    """Return the answer to an ask of JSON.

    Raises:
        KeyError, TypeError, ValueError: it is none.

    """
    if "wait" in values:
        return Wait(float(values["wait"]), Why(values["why"]))
    return Lease(str(values["lease"]), _amounts(values["lent"]), bool(values["probe"]))


def load_out(load: Load) -> Json:
    """Return *load* as JSON: also what REST and the command line show."""
    return {
        "archive": load.archive,
        "stopped": load.stopped,
        "factor": round(load.factor, 4),
        "rates": {
            one: {
                "last_minute": round(rate.last_minute, 1),
                "last_15_minutes": round(rate.last_quarter, 1),
                "cap_per_minute": rate.cap,
                "share_of_cap": round(rate.share, 4),
            }
            for one, rate in load.rates.items()
        },
        "associations": {
            "in_use": dict(load.associations),
            "allowed": load.allowed_associations,
            "cap": load.most_associations,
        },
        "waiting": dict(load.waiting),
        "breakers": dict(load.breakers),
        "windows": {
            one: {"open": is_open, "changes_at": change.isoformat() if change else None}
            for one, (is_open, change) in load.windows.items()
        },
        "totals": {one: {resource: load.totals[one, resource] for resource in Resource} for one in WorkClass},
    }


def load_in(values: Json) -> Load:
    """Return the load of JSON.

    Raises:
        KeyError, TypeError, ValueError: it is none.

    """
    associations = values["associations"]
    return Load(
        archive=str(values["archive"]),
        rates={
            Resource(one): Rate(rate["last_minute"], rate["last_15_minutes"], rate["cap_per_minute"])
            for one, rate in values["rates"].items()
        },
        associations={WorkClass(one): int(n) for one, n in associations["in_use"].items()},
        most_associations=int(associations["cap"]),
        allowed_associations=int(associations["allowed"]),
        waiting={WorkClass(one): int(n) for one, n in values["waiting"].items()},
        factor=float(values["factor"]),
        breakers={Operation(one): str(state) for one, state in values["breakers"].items()},
        windows={
            WorkClass(one): (bool(window["open"]), _date(window["changes_at"]))
            for one, window in values["windows"].items()
        },
        totals={
            (WorkClass(one), Resource(resource)): float(amount)
            for one, amounts in values["totals"].items()
            for resource, amount in amounts.items()
        },
        stopped=str(values["stopped"]),
    )


def _amounts(values: Mapping[str, Any]) -> dict[Resource, float]:
    return {Resource(name): _positive(amount) for name, amount in values.items()}


def _positive(amount: Any) -> float:
    number = float(amount)
    if not 0 <= number < 1e15:  # noqa: PLR2004 - no amount that an archive could send; also refuses nan
        raise ValueError("is not an amount")
    return number


def _date(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
