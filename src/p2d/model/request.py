"""The request: what is asked of the archive, in pseudonyms. One type for REST, CLI and list files.

Parsing refuses what is malformed and names the field; whether it is *allowed* is decided by ``p2d.access``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Choice, Kind, Level, Output, Scope
from p2d.model.modality import MODALITIES

_E = TypeVar("_E", bound=StrEnum)
_FIELDS = frozenset({"identifiers", "modalities", "choice", "scope", "level", "output", "attributes"})
_TARGET_FIELDS = frozenset({"kind", "pseudonym", "study", "start", "end", "calendar"})


@dataclass(frozen=True, slots=True)
class TimeFrame:
    """Days from *start* to *end*, both inclusive; None leaves that side open."""

    start: date | None
    end: date | None
    calendar: Calendar = Calendar.SHIFTED


@dataclass(frozen=True, slots=True)
class Target:
    """One pseudonym to look for, with its own time frame.

    ``study`` is the pseudonym of the study that a series or instance belongs to; without it only the
    patients of the session are searched.
    """

    kind: Kind
    pseudonym: Pseudonym
    study: Pseudonym | None = None
    frame: TimeFrame | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything a query can ask; ``modalities`` and ``attributes`` empty mean all."""

    targets: tuple[Target, ...]
    modalities: frozenset[str] = frozenset()
    choice: Choice = Choice.ALL
    scope: Scope = Scope.BASIC
    level: Level = Level.INSTANCE
    output: Output = Output.JSON
    attributes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, source: Mapping[str, object]) -> "Request":
        """Read a request from JSON-like *source*.

        Raises:
            InvalidRequest: an unknown field, an empty list, or a value outside its vocabulary.

        """
        _known_fields(source, _FIELDS, "")
        identifiers = _list(source, "identifiers")
        if not identifiers:
            raise InvalidRequest("identifiers", "is empty", "send at least one {kind, pseudonym}")
        targets = tuple(parse_target(item, f"identifiers[{i}]") for i, item in enumerate(identifiers))
        return cls(
            targets=targets,
            modalities=parse_modalities(_list(source, "modalities"), "modalities"),
            choice=_member(Choice, source.get("choice", Choice.ALL), "choice"),
            scope=_member(Scope, source.get("scope", Scope.BASIC), "scope"),
            level=_member(Level, source.get("level", Level.INSTANCE), "level"),
            output=_member(Output, source.get("output", Output.JSON), "output"),
            attributes=tuple(_text(a, "attributes") for a in _list(source, "attributes")),
        )

    def as_json(self) -> dict[str, object]:
        """Return the request as JSON-like data that ``parse`` reads back to an equal request."""
        return {
            "identifiers": [_target_json(target) for target in self.targets],
            "modalities": sorted(self.modalities),
            "choice": str(self.choice),
            "scope": str(self.scope),
            "level": str(self.level),
            "output": str(self.output),
            "attributes": list(self.attributes),
        }


def parse_target(item: object, field: str) -> Target:
    """Read one identifier of a request or one row of a list file; *field* names it in errors."""
    if not isinstance(item, Mapping):
        raise InvalidRequest(field, "is not an object", 'send {"kind": "patient", "pseudonym": "…"}')
    _known_fields(item, _TARGET_FIELDS, f"{field}.")
    kind = _member(Kind, item.get("kind", Kind.PATIENT), f"{field}.kind")
    pseudonym = Pseudonym.parse(_text(item.get("pseudonym", ""), f"{field}.pseudonym"), f"{field}.pseudonym")
    study = _text(item.get("study") or "", f"{field}.study")
    start = _date(item.get("start"), f"{field}.start")
    end = _date(item.get("end"), f"{field}.end")
    if start and end and end < start:
        raise InvalidRequest(f"{field}.end", "ends before it begins", "swap start and end")
    calendar = _member(Calendar, item.get("calendar") or Calendar.SHIFTED, f"{field}.calendar")
    return Target(
        kind=kind,
        pseudonym=pseudonym,
        study=Pseudonym.parse(study, f"{field}.study") if study else None,
        frame=TimeFrame(start, end, calendar) if start or end else None,
    )


def parse_modalities(items: Sequence[object], field: str) -> frozenset[str]:
    """Read modality codes; *field* names them in errors.

    Raises:
        InvalidRequest: a code that PS3.3 C.7.3.1.1.1 does not define.

    """
    codes = frozenset(_text(item, field) for item in items)
    unknown = sorted(codes - MODALITIES)
    if unknown:
        raise InvalidRequest(
            field,
            f"holds {len(unknown)} unknown modality code(s)",
            "use the defined terms of PS3.3 C.7.3.1.1.1, such as CT, MR, DX",
        )
    return codes


def _known_fields(source: Mapping[str, object], known: frozenset[str], prefix: str) -> None:
    unknown = sorted(str(key)[:40] for key in source if key not in known)
    if unknown:
        raise InvalidRequest(
            f"{prefix}{unknown[0]}",
            "is not a field of a request",
            f"known fields: {', '.join(sorted(known))}",
        )


def _list(source: Mapping[str, object], field: str) -> Sequence[object]:
    value = source.get(field, ())
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidRequest(field, "is not a list", "send a JSON list")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(field, "is not a text", "send a JSON string")
    return value


def _member(vocabulary: type[_E], value: object, field: str) -> _E:
    try:
        return vocabulary(_text(value, field))
    except ValueError:
        raise InvalidRequest(
            field, "is not one of the known values", f"use {', '.join(vocabulary)}"
        ) from None


def _date(value: object, field: str) -> date | None:
    if value is None or value == "":
        return None
    text = _text(value, field)
    try:
        return date.fromisoformat(text) if len(text) == len("YYYY-MM-DD") else _fail()
    except ValueError:
        raise InvalidRequest(field, "is not a date", "write it as YYYY-MM-DD") from None


def _fail() -> date:
    raise ValueError


def _target_json(target: Target) -> dict[str, object]:
    item: dict[str, object] = {"kind": str(target.kind), "pseudonym": str(target.pseudonym)}
    if target.study:
        item["study"] = str(target.study)
    if target.frame:
        item["start"] = target.frame.start.isoformat() if target.frame.start else None
        item["end"] = target.frame.end.isoformat() if target.frame.end else None
        item["calendar"] = str(target.frame.calendar)
    return item
