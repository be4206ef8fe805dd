"""The answer key: what a de-identified file has to show, one row per expected action."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Act(StrEnum):
    """What has to be true of a value afterwards."""

    TEXT_REMOVED = "text_removed"
    BULK_REMOVED = "bulk_removed"
    DATE_CHANGED = "date_changed"
    UID_CHANGED = "uid_changed"
    NO_LEAK = "no_leak"
    PIXELS_HIDDEN = "pixels_hidden"
    MIXED_TEXT = "mixed_text"
    TEXT_RETAINED = "text_retained"
    TEXT_NOTNULL = "text_notnull"
    SAFE_PRIVATE_KEPT = "safe_private_kept"
    PIXELS_RETAINED = "pixels_retained"
    UID_KEPT = "uid_kept"
    UID_CONSISTENT = "uid_consistent"
    DATE_INTERVAL = "date_interval"
    PATID_CONSISTENT = "patid_consistent"
    VALID = "no_new_errors"


@dataclass(frozen=True, slots=True)
class Expected:
    """One expected action.

    ``path`` is a place in the notation of ``phi.places``; ``gone`` are folded needles that must not be left
    there, ``kept`` folded words that must be; ``other`` names the second place of a pair as ``file|path``;
    ``box`` is (frame, left, top, right, bottom, height of the type) in pixels.
    """

    file: str
    path: str
    act: Act
    category: str
    value: str = ""
    gone: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    other: str = ""
    box: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PlantedFile:
    """One file that a tool gets: whose it is and what may stand nowhere in the result.

    ``by_policy`` marks objects that a tool may withhold as a rule: documents, screen saves. ``has_text``
    says that text was drawn into the picture: without a detector such kinds of picture are withheld too.
    """

    name: str
    source: str
    patient: str
    sop_instance_uid: str
    instance_number: int
    needles: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()
    by_policy: bool = False
    has_text: bool = False


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """All that was planted, and what has to become of it."""

    seed: int
    files: Mapping[str, PlantedFile]
    rows: Sequence[Expected]
    patients: Sequence[Mapping[str, str]] = field(default_factory=tuple)

    def save(self, path: Path) -> None:
        """Write the key as JSON; the people in it are invented."""
        content = {
            "seed": self.seed,
            "patients": list(self.patients),
            "files": [asdict(file) for file in self.files.values()],
            "rows": [
                {name: value for name, value in asdict(row).items() if value not in ("", (), [])}
                for row in self.rows
            ],
        }
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
