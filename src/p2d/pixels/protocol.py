"""What passes between a screening child and its parent: the task, the outcome, and why there is none.

Request: length of the task, length of the file (two unsigned 64-bit numbers), the task as JSON, the DICOM
file. Answer: 0 screened or 1 not (8 bits), length (64 bits); then length of the outcome (64 bits), the
outcome as JSON and new bytes of the file, or the code of ``Unscreenable`` in ASCII. Numbers are big-endian.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from p2d.pixels.box import Box

CODES: Final = frozenset({"no-pixels", "damaged", "too-large", "transfer-syntax", "text-stays", "limit"})
"""Why an object cannot be screened."""


class Unscreenable(Exception):  # noqa: N818 - it says what the object is, no fault of the program
    """The pixels cannot be looked at here; *code* is one of ``CODES``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Effort = Literal["layout", "alarm", "rule"]
"""How closely to look: at known layouts, at a sample, at objects that may show text by rule."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to do: keep only the inside of *regions*, mask boxes *known* to hold text, clear overlay bits."""

    regions: tuple[Box, ...] = ()
    known: tuple[Box, ...] = ()
    overlay_bits: tuple[int, ...] = ()
    effort: Effort = "rule"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: *content* is the whole file, or what replaces its first *kept_from* bytes."""

    content: bytes
    kept_from: int
    transfer_syntax_uid: str
    boxes: tuple[Box, ...]
    found: tuple[Box, ...]
    looked_at: tuple[int, ...]
    is_masked: bool


REQUEST: Final = struct.Struct("!QQ")
OUTCOME: Final = struct.Struct("!Q")


def task_as_json(task: Task) -> bytes:
    """Return *task* as it goes to the child."""
    return json.dumps(asdict(task)).encode()


def task_from_json(text: bytes) -> Task:
    """Return the task in *text*."""
    form: dict[str, Any] = json.loads(text)
    return Task(
        regions=_boxes(form["regions"]),
        known=_boxes(form["known"]),
        overlay_bits=tuple(form["overlay_bits"]),
        effort=form["effort"],
    )


def outcome_as_bytes(outcome: Outcome) -> bytes:
    """Return *outcome* as it comes back from the child."""
    form = asdict(outcome)
    del form["content"]
    text = json.dumps(form).encode()
    return OUTCOME.pack(len(text)) + text + outcome.content


def outcome_from_bytes(payload: bytes) -> Outcome:
    """Return the outcome in *payload*."""
    (length,) = OUTCOME.unpack_from(payload)
    form: dict[str, Any] = json.loads(payload[OUTCOME.size : OUTCOME.size + length])
    return Outcome(
        content=payload[OUTCOME.size + length :],
        kept_from=int(form["kept_from"]),
        transfer_syntax_uid=str(form["transfer_syntax_uid"]),
        boxes=_boxes(form["boxes"]),
        found=_boxes(form["found"]),
        looked_at=tuple(form["looked_at"]),
        is_masked=bool(form["is_masked"]),
    )


def _boxes(forms: list[dict[str, int]]) -> tuple[Box, ...]:
    return tuple(Box(**form) for form in forms)
