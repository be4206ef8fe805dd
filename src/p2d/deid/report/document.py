"""The report of a run as a JSON document: what was done to which attribute, and what was withheld.

Its form is described in ``docs/reference/deid-report.md`` and carries a version. It holds counts, tags, words
of the standard and of P2D, the run's id and who asked for it; never a value of an object.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from p2d.deid.profile.options import Option
from p2d.deid.profile.profile import Profile
from p2d.deid.report.remainder import KINDS, remaining
from p2d.deid.report.tally import OTHER, DeidTally, Outcome, steps_of
from p2d.deid.standard.codes import BASIC_PROFILE, MEANINGS
from p2d.deid.standard.table import EDITION
from p2d.dicom.dictionary import keyword_of

FORMAT: Final = "p2d-deidentification-report"
VERSION: Final = 1
JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run it was; times are seconds since the epoch.

    ``kind`` is ``bulk``, ``images`` or ``folder``; ``objects`` what the sums count: images, headers or files.
    """

    run: str
    kind: str
    user: str
    started_at: float
    ended_at: float
    objects: str = "images"
    state: str = "completed"


@dataclass(frozen=True, slots=True)
class Sums:
    """expected = received + missing; received = released + withheld + duplicate + refused."""

    received: int
    released: int
    withheld: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0
    duplicate: int = 0
    refused: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether every received object came to something."""
        return self.received == self.released + sum(self.withheld.values()) + self.duplicate + self.refused


@dataclass(frozen=True, slots=True)
class ReviewSums:
    """What the release review decided, in images: held = approved + rejected + pending."""

    hold: str
    approved: int
    rejected: Mapping[str, int]
    pending: int
    by: tuple[str, ...] = ()

    @property
    def held(self) -> int:
        """Images that were held."""
        return self.approved + sum(self.rejected.values()) + self.pending


@dataclass(frozen=True, slots=True)
class Document:
    """The finished report; ``content`` is the JSON file, ``digest`` its SHA-256."""

    body: Mapping[str, object] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON file in hexadecimal digits: what ``sha256sum`` prints."""
        return hashlib.sha256(self.content).hexdigest()


def document(
    facts: RunFacts,
    profiles: Sequence[Mapping[str, object]],
    tally: DeidTally,
    sums: Sums,
    review: ReviewSums | None = None,
) -> Document:
    """Return the report; *profiles* are what ``described`` said when the run worked."""
    body: JsonObject = {
        "format": FORMAT,
        "version": VERSION,
        "software": f"P2D {software()}",
        "run": _run(facts),
        "profiles": [dict(profile) for profile in profiles],
        "objects": _objects(facts, sums),
        "attributes": [_attribute(path, outcomes) for path, outcomes in tally.rows()],
        "pixels": _pixels(tally),
        "remaining": {
            kind: {"meaning": KINDS[kind], "attributes": names} for kind, names in remaining(tally).items()
        },
    }
    if review is not None:
        body["review"] = _review(review)
    content = json.dumps(body, indent=1, ensure_ascii=False).encode() + b"\n"
    return Document(body, content)


def described(profile: Profile, *, true_dates: bool) -> JsonObject:
    """Return what a report says of *profile*; *true_dates*: the site keeps true dates whatever it says."""
    options = sorted(profile.options, key=lambda option: option.code)
    return {
        "name": profile.name,
        "version": profile.version,
        "mode": str(profile.mode),
        "table": f"PS3.15 Table E.1-1, edition {EDITION}",
        "codes": [
            {"code": BASIC_PROFILE, "meaning": MEANINGS[BASIC_PROFILE], "option": ""},
            *({"code": one.code, "meaning": one.meaning, "option": str(one)} for one in options),
        ],
        "dates": dates_of(profile, true_dates=true_dates),
        "age_cap": profile.age_cap,
        "texts_cleaned": profile.scrubs,
        "text_detector": profile.screen,
        "head_series": profile.head,
        "release_review": profile.review,
        "withheld_by_project": sorted(profile.withheld_modalities | profile.withheld_sop_classes),
    }


def dates_of(profile: Profile, *, true_dates: bool) -> str:
    """Return what happens to dates: ``true``, ``shifted by days``, ``shifted by weeks`` or ``removed``."""
    if true_dates or Option.FULL_DATES in profile.options:
        return "true"
    if Option.MODIFIED_DATES not in profile.options:
        return "removed"
    return f"shifted by {'weeks' if profile.whole_weeks else 'days'}"


@lru_cache(maxsize=1)
def software() -> str:
    """Return the version of P2D that is installed."""
    try:
        return version("p2d")
    except PackageNotFoundError:
        return "(source)"


def attribute_name(path: str) -> str:
    """Return *path* in keywords: ``ReferencedImageSequence / ReferencedSOPInstanceUID``."""
    return " / ".join(_step_name(step) for step in steps_of(path)) or "further attributes"


def _step_name(step: str) -> str:
    group, creator = step[:4], step.partition("[")[2].rstrip("]")
    if creator:
        return f"private, group {group}, {creator}"
    if int(group[3], 16) % 2:
        return f"private, group {group}"
    return keyword_of(step) or f"unknown ({group},{step[4:]})"


def _run(facts: RunFacts) -> JsonObject:
    return {
        "id": facts.run,
        "kind": facts.kind,
        "state": facts.state,
        "asked_by": facts.user,
        "started": _instant(facts.started_at),
        "ended": _instant(facts.ended_at),
    }


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _objects(facts: RunFacts, sums: Sums) -> JsonObject:
    return {
        "counted": facts.objects,
        "expected": sums.received + sums.missing,
        "received": sums.received,
        "missing": sums.missing,
        "released": sums.released,
        "withheld": dict(sorted(sums.withheld.items())),
        "duplicate": sums.duplicate,
        "refused": sums.refused,
        "adds_up": sums.adds_up,
    }


def _attribute(path: str, outcomes: Mapping[Outcome, int]) -> JsonObject:
    counts = {str(outcome): outcomes[outcome] for outcome in Outcome if outcomes.get(outcome)}
    return {"path": path, "name": attribute_name(path) if path != OTHER else "further attributes", **counts}


def _pixels(tally: DeidTally) -> JsonObject:
    return {
        "screened": tally.screened,
        "frames_looked_at": tally.frames,
        "masked": tally.masked_objects,
        "boxes": tally.masks,
        "recognisable_heads": tally.recognisable_objects,
    }


def _review(review: ReviewSums) -> JsonObject:
    return {
        "hold": review.hold,
        "held": review.held,
        "approved": review.approved,
        "rejected": dict(sorted(review.rejected.items())),
        "pending": review.pending,
        "by": list(review.by),
    }
