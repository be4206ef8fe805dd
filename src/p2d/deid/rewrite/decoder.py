"""Values of raw elements, each distinct one decoded once: most elements repeat within a patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from p2d.deid.profile.action import BULK_VRS
from p2d.deid.standard.private import safe_vr
from p2d.dicom.charset import CharacterSet, UndecodableText, character_set
from p2d.dicom.elements import may_be_signed, values_of
from p2d.dicom.walk import (
    MAX_DEPTH,
    Malformed,
    Source,
    Span,
    Syntax,
    items,
    ordered,
    spans,
    vr_at,
)
from p2d.model.header import Element, Value

_MAX_MEMO: Final = 50_000
_MAX_RAW: Final = 4096
_CHARACTER_SET: Final = 0x00080005
PRIVATE: Final = 0x10000
"""The bit of a tag that is set where its group number is odd (PS3.5 7.8)."""

_CREATORS: Final = range(0x10, 0x100)


@dataclass(slots=True)
class Creators:
    """Who reserved which block of private elements, as read so far in one data set (PS3.5 7.8.1)."""

    by_block: dict[int, str] = field(default_factory=dict, repr=False)

    def of(self, tag: int) -> str:
        """Return the private creator of *tag*, or an empty string."""
        return self.by_block.get(tag >> 8, "")

    def note(self, tag: int, text: str) -> None:
        """Note that private creator element *tag* holds *text*."""
        self.by_block[block_of(tag)] = text


def block_of(tag: int) -> int:
    """Return the block that private creator element *tag* reserves: ``tag >> 8`` of its elements."""
    return tag >> 16 << 8 | tag & 0xFF


def is_creator(tag: int) -> bool:
    """Whether *tag* is a private creator element."""
    return bool(tag >> 16 & 1) and tag & 0xFFFF in _CREATORS


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the elements of a data set are encoded; ``is_signed`` is its PixelRepresentation (0028,0103)."""

    syntax: Syntax
    codecs: CharacterSet
    is_signed: bool = False

    def vr_of(self, span: Span, creator: str = "") -> str:
        """Return the VR to read *span* as; PixelRepresentation chooses US or SS where bytes do not."""
        tag = span[0]
        vr = vr_at(tag, span[1], creator)
        if vr == "UN" and creator and tag & PRIVATE:
            vr = safe_vr(tag >> 16, creator, tag & 0xFF) or vr
        return "SS" if vr == "US" and self.is_signed and self._is_guessed(span) else vr

    def _is_guessed(self, span: Span) -> bool:
        return may_be_signed(span[0]) and (self.syntax.is_implicit or span[1] == "UN")

    def values(self, source: Source, span: Span, vr: str, path: str) -> tuple[Value, ...]:
        """Return the values of *span*; *path* names it in errors.

        Raises:
            UndecodableText, UndecodableHeader: as ``values_of``.

        """
        try:
            return values_of(
                vr, source[span[3] : span[4]], self.codecs, little=self.syntax.is_little, guess=False
            )
        except UndecodableText:
            raise UndecodableText(path) from None

    def text(self, source: Source, span: Span) -> str:
        """Return the text of *span*, read as LO.

        Raises:
            UndecodableText: as ``values``.

        """
        return "\\".join(str(value) for value in self.values(source, span, "LO", ""))


class Decoders:
    """Values of the elements of one patient's data sets; remembers those of short elements."""

    def __init__(self) -> None:
        self._memos: dict[Encoding, dict[bytes, dict[str, Element]]] = {}
        self._fresh: list[Element] = []

    def elements(
        self, encoding: Encoding, source: Source, header: Sequence[Span]
    ) -> tuple[dict[str, Element], list[bytes]]:
        """Return the elements at *header* by path and the bytes of each.

        The elements are those of items, too; private ones are left out.

        Raises:
            UndecodableText, UndecodableHeader, Malformed: as reading them.

        """
        memo = self._memos.setdefault(encoding, {})
        found: dict[str, Element] = {}
        pieces: list[bytes] = []
        for span in header:
            tag, _, begin, _, end, is_undefined = span
            raw = source[begin : end + 8 if is_undefined else end]
            pieces.append(raw)
            if tag & PRIVATE:
                continue
            known = memo.get(raw)
            if known is None:
                known = {element.path: element for element in _flat(source, encoding, span, "", "")}
                self._fresh.extend(known.values())
                if len(raw) <= _MAX_RAW and len(memo) < _MAX_MEMO:
                    memo[raw] = known
            found.update(known)
        return found, pieces

    def taken(self) -> Sequence[Element]:
        """Return the elements that were not met before since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh


def _flat(source: Source, encoding: Encoding, span: Span, prefix: str, creator: str) -> Iterator[Element]:
    tag = span[0]
    path = f"{prefix}{tag:08X}"
    vr = encoding.vr_of(span, creator)
    if vr == "SQ":
        yield Element(path, vr, ())
        for index, item in enumerate(opened_items(source, encoding, span)):
            yield from _item(source, item, f"{path}[{index}].")
        return
    if vr in BULK_VRS:
        yield Element(path, vr, ())
        return
    yield Element(path, vr, encoding.values(source, span, vr, path))


def _item(source: Source, item: "Item", prefix: str) -> Iterator[Element]:
    if prefix.count(".") > MAX_DEPTH:
        raise Malformed("sequences nested too deep")
    creators = Creators()
    for span in item.spans:
        flat = tuple(_flat(source, item.encoding, span, prefix, creators.of(span[0])))
        if is_creator(span[0]):
            creators.note(span[0], flat[0].text)
        yield from flat


@dataclass(frozen=True, slots=True)
class Item:
    """The elements of one item of a sequence and how they are encoded."""

    encoding: Encoding
    spans: Sequence[Span]


def opened_items(source: Source, encoding: Encoding, span: Span) -> Iterator[Item]:
    """Yield the items of the sequence *span*; an item may declare a character set of its own.

    Raises:
        UndecodableText, Malformed: as reading them.

    """
    for syntax, begin, end in items(source, encoding.syntax, span):
        found = ordered(spans(source, syntax, begin, end))
        yield Item(replace(encoding, syntax=syntax, codecs=declared(source, found, encoding.codecs)), found)


def declared(source: Source, found: Sequence[Span], inherited: CharacterSet) -> CharacterSet:
    """Return the codecs that (0008,0005) among *found* declares, else *inherited*.

    Raises:
        UndecodableText: a term that PS3.3 C.12.1.1.2 does not define.

    """
    for tag, _, _, value, end, _ in found:
        if tag == _CHARACTER_SET:
            return character_set(source[value:end])
        if tag > _CHARACTER_SET:
            break
    return inherited
