"""The chain: each record carries the SHA-256 of the one before it, so that no edit goes unseen.

A record is one line of canonical JSON (sorted keys, no blanks, ASCII). ``hash`` covers all other members,
``previous`` among them; the first record's ``previous`` is 64 zeros.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2d.model.errors import InvalidRequest, NotFound

GENESIS: Final = "0" * 64
_LONGEST_TEXT: Final = 256
_CHUNK: Final = 65536


@dataclass(frozen=True, slots=True)
class Verification:
    """What ``verify`` found.

    ``records`` counts the good ones before *first_bad* (a record number from 1, None when all are good),
    ``interrupted`` the queries among them that have no outcome: killed, or still running.
    """

    records: int
    interrupted: int
    head: str
    first_bad: int | None = None
    reason: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the whole file is one unbroken chain."""
        return self.first_bad is None


def seal(body: Mapping[str, object]) -> tuple[bytes, str]:
    """Return *body* as a line with its hash, and the hash."""
    digest = hashlib.sha256(_canonical(body)).hexdigest()
    return _canonical({**body, "hash": digest}) + b"\n", digest


def unseal(line: bytes) -> dict[str, object] | None:
    """Return the record of *line* (with its newline), or None when the line is not as ``seal`` wrote it."""
    try:
        body = json.loads(line)
        if not line.endswith(b"\n") or not isinstance(body, dict) or _canonical(body) + b"\n" != line:
            return None
        digest = body.pop("hash", None)
        is_own = digest == hashlib.sha256(_canonical(body)).hexdigest() and type(body.get("seq")) is int
    except (ValueError, RecursionError):
        return None
    return {**body, "hash": digest} if is_own else None


def verify(path: Path, expected_head: str | None = None) -> Verification:
    """Check every record of the file at *path*.

    An edited, removed, inserted or moved record breaks the chain. Records cut off at the end are noticed
    with *expected_head* only: a hash that was noted elsewhere and must still occur in the file.

    Raises:
        NotFound: the file cannot be read.

    """
    head, records, head_seen = GENESIS, 0, expected_head in {None, GENESIS}
    running: set[str] = set()
    try:
        with path.open("rb") as source:
            for line in source:
                record = unseal(line)
                reason = _fault(line, record, head, records + 1)
                if record is None or reason:
                    return Verification(records, len(running), head, records + 1, reason)
                head, records = str(record["hash"]), records + 1
                head_seen = head_seen or head == expected_head
                if record["kind"] == "intent":
                    running.add(str(record["query"]))
                elif record["kind"] == "outcome":
                    running.discard(str(record["query"]))
    except OSError:
        raise NotFound("audit file", "cannot be read", "check the path and your rights") from None
    if not head_seen:
        reason = "the noted head is not in the file: records are missing at its end, or it is another file"
        return Verification(records, len(running), head, records + 1, reason)
    return Verification(records, len(running), head)


def head(path: Path) -> str:
    """Return the hash of the last record, to be noted elsewhere; 64 zeros when there is none.

    Raises:
        NotFound: the file cannot be read, or its last line is no record.

    """
    try:
        with path.open("rb") as source:
            size = source.seek(0, 2)
            line = last_line(source.fileno(), size)
    except OSError:
        raise NotFound("audit file", "cannot be read", "check the path and your rights") from None
    if not line:
        return GENESIS
    record = unseal(line)
    if record is None:
        raise NotFound("audit file", "its last line is no record", "run: p2d audit verify FILE")
    return str(record["hash"])


def last_line(descriptor: int, size: int) -> bytes:
    """Return the last line before offset *size*, complete or torn, read from the end."""
    tail = b""
    position = size
    while position > 0 and b"\n" not in tail[:-1]:
        step = min(_CHUNK, position)
        position -= step
        tail = os.pread(descriptor, step, position) + tail
    return tail[tail.rfind(b"\n", 0, max(len(tail) - 1, 0)) + 1 :]


def checked(value: object, field: str) -> object:
    """Return *value* as plain JSON: texts of up to 256 printable characters, numbers, lists, objects.

    Raises:
        InvalidRequest: anything else; an audit record holds pseudonyms, counts and words of vocabularies.

    """
    if isinstance(value, Mapping):
        return {_text(key, field): checked(item, f"{field}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [checked(item, field) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(value, field)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise InvalidRequest(
            field, "is not a short printable text or a number", "audit pseudonyms and counts"
        )
    return str(value)


def _fault(line: bytes, record: Mapping[str, object] | None, head: str, number: int) -> str:
    if record is None:
        if not line.endswith(b"\n"):
            return "the last line is torn: a crash while writing (the next record sets it aside), or a cut"
        return "its content does not match its hash: edited"
    if record.get("previous") != head:
        return "it does not follow the record before it: one was removed, inserted or moved"
    if record["seq"] != number or not {"kind", "query"} <= record.keys():
        return "its number or form is wrong"
    return ""


def _canonical(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
