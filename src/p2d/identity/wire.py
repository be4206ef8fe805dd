"""What travels between gateway and identity: one JSON object a line (NDJSON), index echoed, status an item.

Used by both ends. It refuses whatever it does not expect: another index, another status, a missing member.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Final

from p2d.identity.port import Ambiguous, Domain, Failure, Identifier, Invalid, NotFound
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId

MEDIA_TYPE: Final = "application/x-ndjson"
MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 16 * 1024 * 1024
VALUE: Final = "value"
_FAILURES: Final[Mapping[str, Failure]] = {
    "not_found": NotFound(),
    "invalid": Invalid(),
    "ambiguous": Ambiguous(),
}


def status_of(failure: Failure) -> str:
    """Return the status word of *failure*."""
    return next(word for word, known in _FAILURES.items() if known == failure)


def failure_of(status: object) -> Failure:
    """Return the failure that *status* names.

    Raises:
        ValueError: no such status.

    """
    if not isinstance(status, str) or status not in _FAILURES:
        raise ValueError("unknown status")
    return _FAILURES[status]


def encode_line(item: Mapping[str, object]) -> bytes:
    """Return *item* as one line."""
    return json.dumps(item, separators=(",", ":")).encode("ascii") + b"\n"


def decode_line(line: bytes) -> dict[str, object]:
    """Return the object on *line*.

    Raises:
        ValueError: not UTF-8, not JSON, or not an object.

    """
    try:
        item = json.loads(line.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(item, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one family for every malformed line
    return item


def encode_identifier(identifier: Identifier) -> dict[str, object]:
    """Return the members that carry *identifier* on a line."""
    if not isinstance(identifier, CaseStay):
        return {"value": identifier.value}
    return {
        "admission_id": identifier.admission_id,
        "patient_id": identifier.patient_id.value,
        "start": identifier.start.isoformat() if identifier.start else None,
        "end": identifier.end.isoformat() if identifier.end else None,
    }


def decode_identifier(domain: Domain, item: Mapping[str, object]) -> Identifier:
    """Return the identifier of *domain* that *item* carries.

    Raises:
        ValueError: a member is missing or of another type.

    """
    if domain is Domain.CASE:
        return CaseStay(
            text_member(item, "admission_id"),
            PatientId(text_member(item, "patient_id")),
            _date_member(item, "start"),
            _date_member(item, "end"),
        )
    value = text_member(item, "value")
    if domain is Domain.PATIENT:
        return PatientId(value)
    return AccessionNumber(value) if domain is Domain.ACCESSION else InstanceUid(value)


def text_member(item: Mapping[str, object], name: str) -> str:
    """Return the text under *name*.

    Raises:
        ValueError: absent or not a text.

    """
    value = item.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")  # noqa: TRY004 - one family for every malformed line
    return value


def _date_member(item: Mapping[str, object], name: str) -> date | None:
    return None if item.get(name) is None else date.fromisoformat(text_member(item, name))
