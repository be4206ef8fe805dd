"""Values of raw elements, each distinct one decoded once: most elements repeat within a patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from p2d.deid.profile.action import BULK_VRS
from p2d.deid.rewrite.encoding import PRIVATE, Creators, Encoding, is_creator
from p2d.deid.rewrite.pattern import Fit, Known, Pattern, Patterns, Read
from p2d.dicom.charset import CharacterSet, character_set
from p2d.dicom.walk import (
    BEGIN,
    MAX_DEPTH,
    TAG,
    Malformed,
    Source,
    Span,
    Syntax,
    after,
    items,
    ordered,
    spans,
)
from p2d.model.header import Element

_MAX_MEMO: Final = 50_000
_MAX_RAW: Final = 4096
_CHARACTER_SET: Final = 0x00080005


class Decoders:
    """Values of the elements of one patient's data sets; remembers those of short elements.

    With *reuses* it knows what data sets of a series have in common, and looks only at what varies.
    """

    def __init__(self, *, reuses: bool = True) -> None:
        self._memos: dict[Encoding, dict[bytes, dict[str, Element]]] = {}
        self._fresh: list[Element] = []
        self._patterns = Patterns() if reuses else None

    def read(self, encoding: Encoding, source: Source, header: Sequence[Span], pixels: Span | None) -> Read:
        """Read the elements at *header*, those of items too; private ones are not decoded.

        Raises:
            UndecodableText, UndecodableHeader, Malformed: as reading them.

        """
        raw = [source[span[BEGIN] : after(span)] for span in header]
        return Read(header, raw, self._known(encoding, source, header, raw), pixels)

    def fit(self, syntax: Syntax, source: Source, begin: int) -> tuple[Pattern, Fit] | None:
        """Return the pattern that the data set of *source* at *begin* fits, and what varies in it."""
        return None if self._patterns is None else self._patterns.fit(syntax, source, begin)

    def learn(self, encoding: Encoding, read: Read) -> None:
        """Remember the form of *read*, whose elements stand in order and before its pixel data."""
        if self._patterns is not None:
            self._patterns.learn(encoding, read)

    def elements_of(self, pattern: Pattern, source: Source, fit: Fit) -> dict[str, Element]:
        """Return the elements by path of the data set that fits *pattern*.

        Raises:
            UndecodableText, UndecodableHeader, Malformed: as reading them.

        """
        return pattern.elements_with(self._known(pattern.encoding, source, fit.spans, fit.raw))

    def _known(
        self, encoding: Encoding, source: Source, header: Sequence[Span], raw: Sequence[bytes]
    ) -> list[Known | None]:
        memo = self._memos.setdefault(encoding, {})
        found: list[Known | None] = []
        for span, content in zip(header, raw, strict=True):
            if span[TAG] & PRIVATE:
                found.append(None)
                continue
            known = memo.get(content)
            if known is None:
                known = _known(source, encoding, span)
                self._fresh.extend(known.values())
                if len(content) <= _MAX_RAW and len(memo) < _MAX_MEMO:
                    memo[content] = known
            found.append(known)
        return found

    def taken(self) -> Sequence[Element]:
        """Return the elements that were not met before since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh


def _known(source: Source, encoding: Encoding, span: Span) -> dict[str, Element]:
    """Return the elements by path of the element *span*, which is not private and in no sequence."""
    vr = encoding.vr_of(span)
    if vr == "SQ":
        return {element.path: element for element in _flat(source, encoding, span, "", "")}
    path = f"{span[TAG]:08X}"
    values = () if vr in BULK_VRS else encoding.values(source, span, vr, path)
    return {path: Element(path, vr, values)}


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
