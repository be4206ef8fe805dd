"""A released DICOM file (PS3.10) from its pieces: zero preamble, new file meta information, ordered elements.

Pixel data are a view of what was received, so that a file is never held twice.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from p2d.deid.leak.codestream import surplus_of
from p2d.dicom.encode import element, encoded, sequence
from p2d.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from p2d.dicom.walk import (
    BEGIN,
    END,
    EXPLICIT_LITTLE,
    IS_UNDEFINED,
    TAG,
    VALUE,
    Source,
    Span,
    Syntax,
    after,
)
from p2d.model.header import Element, Elements, text_of

Piece = tuple[int, bytes]
"""A tag and the bytes of its element."""

_PREAMBLE: Final = bytes(128) + b"DICM"
_VERSION: Final = b"\x00\x01"


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble, prefix and file meta information (PS3.10 7.1)."""
    before, behind = _meta(sop_class_uid, transfer_syntax_uid)
    instance = element(0x00020003, "UI", sop_instance_uid.encode("ascii"), EXPLICIT_LITTLE)
    meta = before + instance + behind
    length = element(0x00020000, "UL", len(meta).to_bytes(4, "little"), EXPLICIT_LITTLE)
    return _PREAMBLE + length + meta


@lru_cache(maxsize=256)
def _meta(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    def text(tag: int, vr: str, value: str) -> bytes:
        return element(tag, vr, value.encode("ascii"), EXPLICIT_LITTLE)

    return (
        element(0x00020001, "OB", _VERSION, EXPLICIT_LITTLE) + text(0x00020002, "UI", sop_class_uid),
        text(0x00020010, "UI", transfer_syntax_uid)
        + text(0x00020012, "UI", IMPLEMENTATION_CLASS_UID)
        + text(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
    )


def joined(pieces: Iterable[Piece], additions: Iterable[Piece], pixels: Span | None) -> tuple[bytes, bytes]:
    """Return the elements before and behind the pixel data, by ascending tag.

    Each of *additions* takes the place of what stood there in *pieces*.
    """
    placed = dict(pieces)
    placed.update(additions)
    tags = sorted(placed)
    cut = bisect_left(tags, pixels[TAG]) if pixels else len(tags)
    return b"".join([placed[tag] for tag in tags[:cut]]), b"".join([placed[tag] for tag in tags[cut:]])


def pieces_of(elements: Iterable[Element], codec: str, syntax: Syntax) -> list[Piece]:
    """Return flat *elements* (sequences before their items, one level deep) as pieces.

    Raises:
        Unencodable: a value that *codec* or its VR cannot hold.

    """
    top: dict[str, tuple[Element, dict[str, list[bytes]]]] = {}
    for one in elements:
        head, _, rest = one.path.partition("[")
        if not rest:
            top[head] = (one, {})
            continue
        number, _, leaf = rest.partition("].")
        content = encoded(one.vr, one.values, codec, syntax)
        top[head][1].setdefault(number, []).append(element(int(leaf, 16), one.vr, content, syntax))
    found: list[Piece] = []
    for path, (one, items) in top.items():
        tag = int(path, 16)
        if one.vr == "SQ":
            found.append((tag, sequence(tag, [b"".join(item) for item in items.values()], syntax)))
        else:
            content = encoded(one.vr, one.values, codec, syntax)
            found.append((tag, element(tag, one.vr, content, syntax)))
    return found


def pixels_of(source: Source, span: Span, syntax: Syntax, expected: int) -> tuple[bytes | memoryview, ...]:
    """Return the pixel data element *span* without copying its value.

    Native pixel data end where the image does: bytes behind the *expected* ones (and one of padding), which
    no viewer shows, are cut off. *expected* 0 means that it is not known.
    """
    view = memoryview(source)
    surplus = 0 if span[IS_UNDEFINED] or not expected else surplus_of(span[END] - span[VALUE], expected)
    if not surplus:
        return (view[span[BEGIN] : after(span)],)
    end = span[END] - surplus
    head = source[span[BEGIN] : span[VALUE] - 4]
    length = (end - span[VALUE]).to_bytes(4, "little" if syntax.is_little else "big")
    return (head + length, view[span[VALUE] : end])


def expected_length(elements: Elements) -> int:
    """Return how long native pixel data are by Rows, Columns … (PS3.5 8.1.1), or 0 where it is not known."""
    rows, columns = _number(elements, "00280010"), _number(elements, "00280011")
    bits = rows * columns * _number(elements, "00280100")
    if not bits:
        return 0
    samples = _number(elements, "00280002") or 1
    if text_of(elements, "00280004").strip() == "YBR_FULL_422":
        samples = 2  # on average, PS3.3 C.7.6.3.1.2
    return -(-bits * samples * (_number(elements, "00280008") or 1) // 8)


def _number(elements: Elements, path: str) -> int:
    element = elements.get(path)
    value = element.values[0] if element is not None and element.values else 0
    return value if isinstance(value, int) else 0
