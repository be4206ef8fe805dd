"""A pydicom data set as a flat mapping of ``Element``, without building pydicom's own values.

Bytes are decoded strictly and straight from the raw elements; pydicom's warnings, which quote values, never
arise. Binary values are noted as present and dropped.
"""

import math
import re
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.values import convert_SQ

from p2d.dicom.charset import DEFAULT, CharacterSet, UndecodableText, character_set, decoded
from p2d.model.header import Element, Value

_BINARY: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
_NUMBERS: Final = {
    "US": ("H", 2), "SS": ("h", 2), "UL": ("I", 4), "SL": ("i", 4), "UV": ("Q", 8), "SV": ("q", 8),
    "FL": ("f", 4), "FD": ("d", 8),
}  # fmt: skip
_SINGLE: Final = frozenset({"LT", "ST", "UT", "UR"})  # one value; leading spaces count (PS3.5 6.2)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_DEPTH: Final = 32
_CHARACTER_SET: Final = 0x00080005
_PIXEL_REPRESENTATION: Final = 0x00280103
_REPLACEMENT: Final = "\ufffd"


class UndecodableHeader(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """A data set whose structure cannot be read: broken sequence, wrong length, too deep; holds no value."""


def elements_of(dataset: Dataset, *, guess: bool = False) -> dict[str, Element]:
    """Return all elements of *dataset*, those of sequence items included, by path.

    Paths are as in ``Element``; a sequence itself is listed without values before its items. IS becomes
    ``int`` and DS ``float`` where they are well formed and finite, else text; AT is eight hexadecimal
    digits; PN keeps all component groups. With *guess* text outside its declared character set is read as
    UTF-8 or Latin-1.

    Raises:
        UndecodableText: text that its character set (0008,0005) cannot decode.
        UndecodableHeader: a structure that cannot be read.

    """
    flat: dict[str, Element] = {}
    try:
        _walk(dataset, "", DEFAULT, flat, guess=guess)
    except (UndecodableText, UndecodableHeader):
        raise
    except Exception as error:  # noqa: BLE001 - pydicom raises many types on hostile bytes, with values in them
        raise UndecodableHeader(f"data set not readable: {type(error).__name__}") from None
    return flat


def values_of(vr: str, value: bytes, codecs: CharacterSet, *, little: bool, guess: bool) -> tuple[Value, ...]:
    """Return the values of one element from its bytes.

    Raises:
        UndecodableText: text that *codecs* cannot decode.
        UndecodableHeader: a length that *vr* does not allow.

    """
    if not value or vr in _BINARY:
        return ()
    if number := _NUMBERS.get(vr):
        return _numbers(value, number, little=little)
    if vr == "AT":
        pairs = _numbers(value, ("H", 2), little=little)
        return tuple(
            f"{group:04X}{element:04X}" for group, element in zip(pairs[::2], pairs[1::2], strict=True)
        )
    text = decoded(value, codecs, guess=guess)
    if vr in _SINGLE:
        text = text.rstrip(" \0")
        return (text,) if text else ()
    return _split(vr, text)


def _split(vr: str, text: str) -> tuple[Value, ...]:
    if "\\" in text:
        parts = [part.strip(" \0") for part in text.split("\\")]
    else:
        text = text.strip(" \0")
        if not text:
            return ()
        parts = [text]
    if vr == "IS":
        return tuple(int(part) if _INTEGER.fullmatch(part) else part for part in parts)
    if vr == "DS":
        return tuple(_decimal(part) for part in parts)
    return tuple(parts)


def _decimal(text: str) -> Value:
    number = float(text) if _DECIMAL.fullmatch(text) else math.nan
    return number if math.isfinite(number) else text


def _numbers(value: bytes, form: tuple[str, int], *, little: bool) -> tuple[Any, ...]:
    code, size = form
    count, rest = divmod(len(value), size)
    if rest:
        raise UndecodableHeader("number of wrong length")
    numbers = struct.unpack(f"{'<' if little else '>'}{count}{code}", value)
    if code in "fd":
        return tuple(number if math.isfinite(number) else str(number) for number in numbers)
    return numbers


@lru_cache(maxsize=8192)
def standard_vr(tag: int) -> str:
    """Return the VR that the data dictionary gives *tag*; UN where it does not know one (PS3.5 6.2.2)."""
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return "LO" if 0x10 <= element <= 0xFF else "UN"  # noqa: PLR2004 - private creators, PS3.5 7.8.1
    if element == 0:
        return "UL"
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if " or " not in vr:
        return vr
    return "OW" if "OW" in vr else "US"


def _walk(
    dataset: Dataset,
    prefix: str,
    codecs: CharacterSet,
    flat: dict[str, Element],
    *,
    guess: bool,
) -> None:
    if prefix.count(".") > _MAX_DEPTH:
        raise UndecodableHeader("sequences nested too deep")
    codecs = _declared(dataset, codecs, guess=guess)
    for element in dataset.elements():
        path = f"{prefix}{int(element.tag):08X}"
        vr = _vr(element, dataset)
        if vr == "SQ":
            flat[path] = Element(path, vr, ())
            for index, item in enumerate(_items(element)):
                _walk(item, f"{path}[{index}].", codecs, flat, guess=guess)
            continue
        try:
            flat[path] = Element(path, vr, _values(element, vr, codecs, guess=guess))
        except UndecodableText:
            raise UndecodableText(path) from None


def _vr(element: DataElement | RawDataElement, dataset: Dataset) -> str:
    vr = str(element.VR) if element.VR else "UN"
    if vr == "UN":  # implicit VR, or a writer that did not know a standard element
        vr = standard_vr(int(element.tag))
    elif " or " in vr:
        vr = "OW" if "OW" in vr else "US"
    if vr == "US" and element.VR in {None, "US or SS"} and _is_signed(int(element.tag), dataset):
        return "SS"
    return vr


@lru_cache(maxsize=8192)
def may_be_signed(tag: int) -> bool:
    """Whether PS3.6 gives *tag* the VR US or SS, as PixelRepresentation (0028,0103) has it."""
    try:
        return dictionary_VR(tag) == "US or SS"
    except KeyError:
        return False


def _is_signed(tag: int, dataset: Dataset) -> bool:
    if not may_be_signed(tag):
        return False
    sign = dataset.get_item(_PIXEL_REPRESENTATION)
    if isinstance(sign, RawDataElement):
        return bool(sign.value and any(sign.value))
    return bool(sign is not None and sign.value)


def _declared(dataset: Dataset, inherited: CharacterSet, *, guess: bool) -> CharacterSet:
    element = dataset.get_item(_CHARACTER_SET)
    if element is None:
        return inherited
    value = element.value
    if not isinstance(value, bytes):
        terms = [value] if isinstance(value, str) or value is None else list(value)
        value = "\\".join(str(term or "") for term in terms).encode("latin-1", "replace")
    try:
        return character_set(value)
    except UndecodableText:
        if guess:
            return DEFAULT
        raise


def _items(element: DataElement | RawDataElement) -> Iterable[Dataset]:
    if isinstance(element, DataElement):
        items: Sequence[Dataset] = element.value or ()
        return items
    if not element.value:
        return ()
    parsed: Sequence[Dataset] = convert_SQ(element.value, element.is_implicit_VR, element.is_little_endian)
    return parsed


def _values(
    element: DataElement | RawDataElement, vr: str, codecs: CharacterSet, *, guess: bool
) -> tuple[Value, ...]:
    if isinstance(element, RawDataElement):
        return values_of(vr, element.value or b"", codecs, little=element.is_little_endian, guess=guess)
    value = element.value
    if vr in _BINARY or value is None or value in ("", []):
        return ()
    if isinstance(value, bytes):
        return values_of(vr, value, codecs, little=True, guess=guess)
    several = not isinstance(value, str) and isinstance(value, Sequence)
    return tuple(_plain(item, vr) for item in (value if several else (value,)))


def _plain(item: Any, vr: str) -> Value:
    """Return one value that pydicom has already decoded."""
    if vr == "AT":
        return f"{int(item):08X}"
    if vr in _NUMBERS:
        number: int | float = item
        return number if math.isfinite(number) else str(number)
    text = str(item).strip(" \0") if vr not in _SINGLE else str(item).rstrip(" \0")
    if _REPLACEMENT in text:
        raise UndecodableText
    if vr == "DS":
        return _decimal(text)
    return int(text) if vr == "IS" and _INTEGER.fullmatch(text) else text
