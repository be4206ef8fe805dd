"""The DICOM JSON model (PS3.18 F): one object as flat elements, or as an encoded data set."""

import base64
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from p2d.dicom.elements import standard_vr
from p2d.dicom.encode import Unencodable, element, encoded, sequence
from p2d.dicom.walk import EXPLICIT_LITTLE, MAX_DEPTH
from p2d.model.header import Element, Value

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_WHOLE: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_REAL: Final = frozenset({"FL", "FD"})
_TEXT: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT", "DS", "IS"}
)
_KNOWN: Final = _BINARY | _WHOLE | _REAL | _TEXT | {"AT", "SQ"}
_SINGLE: Final = frozenset({"LT", "ST", "UT", "UR"})
_TRANSPORT: Final = frozenset(
    {"00080005", "00080052", "00080054", "00080056", "00080201", "00081190", "00083002"}
)
"""Character set, level, AE title, availability, time zone, URL, transfer syntaxes: of the answer."""

_CHARACTER_SET: Final = 0x00080005
_PIXELS: Final = 0x7FE00008
_UNICODE: Final = b"ISO_IR 192"
_LONGEST_DS: Final = 16
_MOST_VALUES: Final = 4_000_000


class NotDicomJson(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """A JSON object that is no data set of PS3.18 F; holds no value."""


@dataclass(frozen=True, slots=True)
class _Attribute:
    tag: int
    vr: str
    values: tuple[Any, ...]
    inline: str | None
    is_elsewhere: bool
    """Whether the value is behind a BulkDataURI."""


def _attributes(source: object) -> Iterator[_Attribute]:
    """Yield the attributes of one JSON data set as they stand.

    Raises:
        NotDicomJson: what stands there is none.

    """
    if not isinstance(source, Mapping):
        raise NotDicomJson("not an object")
    for key, attribute in source.items():
        if not _TAG.fullmatch(key) or not isinstance(attribute, Mapping):
            raise NotDicomJson("not an attribute")
        vr, values, inline = attribute.get("vr"), attribute.get("Value", ()), attribute.get("InlineBinary")
        if not isinstance(vr, str) or vr not in _KNOWN:
            raise NotDicomJson("no value representation")
        if not isinstance(values, (list, tuple)) or len(values) > _MOST_VALUES:
            raise NotDicomJson("values that are no list")
        if not isinstance(inline, (str, type(None))):
            raise NotDicomJson("binary that is no text")
        yield _Attribute(int(key, 16), vr, tuple(values), inline, "BulkDataURI" in attribute)


def elements_of(source: object) -> dict[str, Element]:
    """Return the elements of a JSON data set by path, as ``p2d.dicom.elements.elements_of`` does.

    What belongs to the answer and not to the entity (RetrieveURL, character set …) is left out.

    Raises:
        NotDicomJson: *source* is none.

    """
    flat: dict[str, Element] = {}
    _flatten(source, "", flat, 0)
    return {path: one for path, one in flat.items() if path not in _TRANSPORT}


def _flatten(source: object, prefix: str, flat: dict[str, Element], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotDicomJson("nested too deep")
    for attribute in _attributes(source):
        path = f"{prefix}{attribute.tag:08X}"
        vr = standard_vr(attribute.tag)
        if vr == "UN" or attribute.vr == "SQ":
            vr = attribute.vr
        if vr == "SQ":
            flat[path] = Element(path, vr, ())
            for index, item in enumerate(attribute.values):
                _flatten(item or {}, f"{path}[{index}].", flat, depth + 1)
        elif vr in _BINARY:
            flat[path] = Element(path, vr, ())
        else:
            values = tuple(_value(vr, value) for value in attribute.values)
            flat[path] = Element(path, vr, () if values in {(), ("",)} else values)


def _value(vr: str, value: object) -> Value:
    """Return one value in the form that headers have.

    Raises:
        NotDicomJson: an object or list where a value should be.

    """
    if value is None:
        return ""
    if isinstance(value, Mapping) and vr == "PN":
        return _name(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise NotDicomJson("not a value")
    if isinstance(value, str):
        value = value.rstrip(" \0") if vr in _SINGLE else value.strip(" \0")
    if vr in _REAL or vr == "DS":
        return _real(value)
    if vr in _WHOLE or vr == "IS":
        return _whole(value)
    return str(value).upper() if vr == "AT" else str(value)


def _real(value: str | float) -> Value:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return str(value)
    return number if math.isfinite(number) else str(value)


def _whole(value: str | float) -> Value:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return int(text) if _INTEGER.fullmatch(text) else text


def _name(groups: Mapping[str, object]) -> str:
    found = [groups.get(group) or "" for group in ("Alphabetic", "Ideographic", "Phonetic")]
    if not all(isinstance(one, str) for one in found):
        raise NotDicomJson("not a person's name")
    return "=".join(str(one).strip(" \0") for one in found).rstrip("=")


def encoded_dataset(source: object) -> bytes:
    """Return a JSON data set in explicit VR little endian, in UTF-8, up to its pixel data.

    Bulk data that the JSON only refers to are present without a value; pixel data and what follows are left
    out.

    Raises:
        NotDicomJson: *source* is no data set, lacks text that is behind a reference, or holds values that
            cannot be written.

    """
    try:
        return _dataset(source, 0)
    except NotDicomJson:
        raise
    except (ValueError, OverflowError):  # Unencodable, and base64 that is none
        raise NotDicomJson("a value cannot be written in its value representation") from None


def _dataset(source: object, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise NotDicomJson("nested too deep")
    parts = [element(_CHARACTER_SET, "CS", _UNICODE, EXPLICIT_LITTLE)] if depth == 0 else []
    before = -1
    for attribute in sorted(_attributes(source), key=lambda one: one.tag):
        tag = attribute.tag
        if tag == before:
            raise NotDicomJson("an attribute stands twice")
        before = tag
        if tag == _CHARACTER_SET or tag & 0xFFFF == 0 or tag >> 16 in {0x0002, 0xFFFE}:
            continue
        if depth == 0 and tag >= _PIXELS:
            break
        if depth == 0 and tag < _CHARACTER_SET:
            parts.insert(len(parts) - 1, _written(attribute, depth))
        else:
            parts.append(_written(attribute, depth))
    return b"".join(parts)


def _written(attribute: _Attribute, depth: int) -> bytes:
    tag, vr = attribute.tag, attribute.vr
    if vr == "SQ":
        items = [_dataset(item or {}, depth + 1) for item in attribute.values]
        return sequence(tag, items, EXPLICIT_LITTLE)
    if attribute.is_elsewhere and vr not in _BINARY:
        raise NotDicomJson("text that is kept elsewhere")
    content = _content(attribute)
    try:
        return element(tag, vr, content, EXPLICIT_LITTLE)
    except Unencodable:
        return element(tag, "UN", content, EXPLICIT_LITTLE)  # longer than 16 bits of length say: PS3.5 6.2.2


def _content(attribute: _Attribute) -> bytes:
    vr = attribute.vr
    if attribute.inline is not None:
        return base64.b64decode(attribute.inline, validate=True)
    if vr in _BINARY:
        if attribute.values:
            raise NotDicomJson("binary values as a list")
        return b""
    values = [_value(vr, value) for value in attribute.values]
    if not values or values == [""]:
        return b""
    if vr in _REAL:
        values = [float(value) for value in values]
    elif vr == "DS":
        values = [_decimal(value) for value in values]
    return encoded(vr, values, "utf-8", EXPLICIT_LITTLE)


def _decimal(value: Value) -> str:
    """Return *value* in at most 16 characters (VR DS, PS3.5 6.2), as exact as these allow."""
    text = repr(value) if isinstance(value, float) else str(value)
    digits = 17
    while len(text) > _LONGEST_DS and isinstance(value, float) and digits:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text
