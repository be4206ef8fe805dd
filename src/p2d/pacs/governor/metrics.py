"""Loads of archives in Prometheus text form 0.0.4; labels are names of settings, never identifiers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from p2d.pacs.governor.port import Load, Operation, Resource, WorkClass

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BREAKERS: Final = {"closed": 0.0, "half-open": 0.5, "open": 1.0}
_TEXTS: Final = {
    "p2d_governor_up": "Whether the archive's governor can be reached.",
    "p2d_archive_stopped": "Whether the kill switch is set.",
    "p2d_archive_backoff_factor": "What is left of the caps after stepping back, 1 is all.",
    "p2d_archive_used_total": "Queries, studies, images and bytes asked of the archive since the beginning.",
    "p2d_archive_last_minute": "Amount in the last minute.",
    "p2d_archive_last_15_minutes": "Amount in the last fifteen minutes.",
    "p2d_archive_cap_per_minute": "The cap for a minute.",
    "p2d_archive_associations": "Operations that run now.",
    "p2d_archive_associations_allowed": "Operations that may run at once now.",
    "p2d_archive_associations_cap": "Operations that may ever run at once.",
    "p2d_archive_waiting": "Operations that wait for leave.",
    "p2d_archive_breaker": "Circuit breaker: 0 closed, 0.5 half open, 1 open.",
    "p2d_archive_window_open": "Whether the class of work may ask now.",
}
Sample = tuple[str, dict[str, str], float]


def rendered(loads: Iterable[Load], unreachable: Iterable[str] = ()) -> str:
    """Return *loads* as one text; archives whose governor is *unreachable* are only said to be so."""
    samples = [sample for load in loads for sample in _samples(load)]
    samples += [("p2d_governor_up", {"archive": name}, 0.0) for name in unreachable]
    return "".join(_family(name, [one for one in samples if one[0] == name]) for name in _TEXTS)


def _samples(load: Load) -> Iterator[Sample]:
    archive = {"archive": load.archive}
    yield "p2d_governor_up", archive, 1.0
    yield "p2d_archive_stopped", archive, float(load.is_stopped)
    yield "p2d_archive_backoff_factor", archive, load.factor
    yield "p2d_archive_associations_allowed", archive, load.allowed_associations
    yield "p2d_archive_associations_cap", archive, load.most_associations
    for resource in Resource:
        labels = {**archive, "resource": str(resource)}
        rate = load.rates[resource]
        yield "p2d_archive_last_minute", labels, rate.last_minute
        yield "p2d_archive_last_15_minutes", labels, rate.last_quarter
        yield "p2d_archive_cap_per_minute", labels, rate.cap
        for one in WorkClass:
            yield "p2d_archive_used_total", {**labels, "class": str(one)}, load.totals[one, resource]
    for one in WorkClass:
        labels = {**archive, "class": str(one)}
        yield "p2d_archive_associations", labels, load.associations[one]
        yield "p2d_archive_waiting", labels, load.waiting[one]
        yield "p2d_archive_window_open", labels, float(load.windows[one][0])
    for operation in Operation:
        labels = {**archive, "operation": str(operation)}
        yield "p2d_archive_breaker", labels, _BREAKERS[load.breakers[operation]]


def _family(name: str, samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = [f"# HELP {name} {_TEXTS[name]}", f"# TYPE {name} {kind}"]
    for _, labels, value in samples:
        named = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{named}}} {value:.10g}")
    return "\n".join(lines) + "\n"
