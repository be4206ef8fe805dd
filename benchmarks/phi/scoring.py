"""Percentages of actions done right, by group, and the list of those that were not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from phi.judging.judge import Verdict
from phi.key import Act, AnswerKey, PlantedFile

PRIVACY: Final = (
    Act.TEXT_REMOVED,
    Act.BULK_REMOVED,
    Act.DATE_CHANGED,
    Act.UID_CHANGED,
    Act.PIXELS_HIDDEN,
    Act.NO_LEAK,
)
UTILITY: Final = (Act.TEXT_RETAINED, Act.TEXT_NOTNULL, Act.SAFE_PRIVATE_KEPT, Act.PIXELS_RETAINED)
CONSISTENCY: Final = (Act.UID_CONSISTENT, Act.UID_KEPT, Act.DATE_INTERVAL, Act.PATID_CONSISTENT)

_Filter = Callable[[Verdict], bool]


def _acts(*acts: Act) -> _Filter:
    return lambda verdict: verdict.row.act in acts


def _research(verdict: Verdict) -> bool:
    return verdict.row.act is Act.TEXT_RETAINED and verdict.row.category.startswith("research")


GROUPS: Final[Mapping[str, _Filter]] = {
    "Privacy": _acts(*PRIVACY),
    "- text removed": _acts(Act.TEXT_REMOVED, Act.BULK_REMOVED),
    "- UIDs changed": _acts(Act.UID_CHANGED),
    "- dates changed": _acts(Act.DATE_CHANGED),
    "- burned-in hidden": _acts(Act.PIXELS_HIDDEN),
    "- files with no leak": _acts(Act.NO_LEAK),
    "Mixed text": _acts(Act.MIXED_TEXT),
    "Utility": _acts(*UTILITY),
    "- research values": _research,
    "- safe private kept": _acts(Act.SAFE_PRIVATE_KEPT),
    "- pixels untouched": _acts(Act.PIXELS_RETAINED),
    "Consistency": _acts(*CONSISTENCY),
    "- UIDs, references": _acts(Act.UID_CONSISTENT, Act.UID_KEPT),
    "- date intervals": _acts(Act.DATE_INTERVAL),
    "- patient id": _acts(Act.PATID_CONSISTENT),
    "No new dciodvfy errors": _acts(Act.VALID),
}


@dataclass(frozen=True, slots=True)
class Score:
    """What one tool reached: percent by group, and files withheld, of them by policy."""

    tool: str
    percents: Mapping[str, float | None]
    withheld: int
    by_policy: int
    files: int
    seconds: float


def score(tool: str, key: AnswerKey, verdicts: Sequence[Verdict], seconds: float) -> Score:
    """Return the percentages of *verdicts*: every row counts once.

    ``All actions`` leaves files withheld by policy out, ``- with files by policy`` counts everything, and
    ``- released files`` only what was released.
    """
    withheld = {verdict.row.file for verdict in verdicts if verdict.is_withheld}
    policy = {name for name in withheld if is_policy(key.files[name])}
    main = [verdict for verdict in verdicts if verdict.row.file not in policy]
    percents = {name: percent(filter(chosen, main)) for name, chosen in GROUPS.items()}
    percents["All actions"] = percent(main)
    percents["- with files by policy"] = percent(verdicts)
    percents["- released files"] = percent(verdict for verdict in main if not verdict.is_withheld)
    return Score(tool, percents, len(withheld), len(policy), len(key.files), seconds)


def is_policy(file: PlantedFile) -> bool:
    """Say whether withholding *file* is a rule: a document, a screen save, a screen without a detector."""
    return file.by_policy or (file.has_text and find_spec("rapidocr") is None)


def percent(verdicts: Iterable[Verdict]) -> float | None:
    """Return how many of *verdicts* are right, in percent; None for none at all."""
    counted = [verdict.is_right for verdict in verdicts]
    return 100.0 * sum(counted) / len(counted) if counted else None


def table(scores: Sequence[Score]) -> Iterator[str]:
    """Yield the lines of a table, one column a tool."""
    names = list(scores[0].percents)
    width = max(len(name) for name in names) + 2
    columns = [max(9, len(one.tool)) + 2 for one in scores]
    yield " " * width + "".join(one.tool.rjust(size) for one, size in zip(scores, columns, strict=True))
    rows = [(f"files withheld, of {scores[0].files}", [str(one.withheld) for one in scores])]
    rows.append(("- of them by policy", [str(one.by_policy) for one in scores]))
    rows += [(name, [_shown(one.percents[name]) for one in scores]) for name in names]
    rows.append(("Seconds", [f"{one.seconds:.1f}" for one in scores]))
    for name, cells in rows:
        yield name.ljust(width) + "".join(cell.rjust(size) for cell, size in zip(cells, columns, strict=True))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def failures(key: AnswerKey, verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield one line for each action of a released file that was not done right."""
    for verdict in verdicts:
        row = verdict.row
        if not verdict.is_right and not verdict.is_withheld:
            source = key.files[row.file].source
            place = f"{row.path}" + (f" ~ {row.other}" if row.other else "")
            planted = f"{row.file} ({source}) {place}: planted {row.value!r:.120}"
            yield f"{row.act} [{row.category}] {planted} -> {verdict.found}"
