"""Each element of a data set as it leaves: bytes for files and values for headers from one decision.

Decisions are remembered by an element's own bytes: within a patient most elements repeat, and a repeated one
costs a look-up. A remembered decision holds for one patient, one set of rules and one encoding.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from p2d.deid.profile.action import BULK_VRS, NUMBER_VRS, Action
from p2d.deid.profile.profile import Rules
from p2d.deid.report.tally import DeidTally, Outcome, private_step
from p2d.deid.rewrite.decoder import Item, opened_items
from p2d.deid.rewrite.encoding import PRIVATE, Creators, Encoding, block_of, is_creator
from p2d.deid.rewrite.values import Treatment, dummy_of, outcome_of, treat
from p2d.dicom.encode import element as encoded_element
from p2d.dicom.encode import encoded, sequence
from p2d.dicom.walk import BEGIN, Malformed, Source, Span, after
from p2d.model.header import Element, Value

MAX_RAW: Final = 4096
"""Longer elements are decided on each time."""

MAX_REMEMBERED: Final = 50_000
_ESCAPE: Final = 0x1B
_KEEP: Final = Action.KEEP  # bound here: looking a member up costs more than what is done with it
_REMOVE: Final = Action.REMOVE
_EMPTY: Final = Action.EMPTY
_DUMMY: Final = Action.DUMMY
_CONTENT: Final = Action.CONTENT
_BULK: Final = Action.BULK
_CHARACTER_SET: Final = Action.CHARACTER_SET
_REMOVED: Final = Outcome.REMOVED
_EMPTIED: Final = Outcome.EMPTIED
_KEPT: Final = Outcome.KEPT
_VALUE_TYPE: Final = 0x0040A040
_NAME: Final = 0x0040A043
_CODE: Final = 0x00080100
_SCHEME: Final = 0x00080102
_LONG_CODE: Final = 0x00080119


@dataclass(slots=True)
class Treated:
    """What one element became: bytes, values, and what to count each time it occurs."""

    encoded: bytes = field(repr=False)
    elements: dict[str, Element] = field(repr=False)
    outcomes: tuple[tuple[str, Outcome], ...] = ()
    times: int = 0
    is_remembered: bool = False

    def count(self, tally: DeidTally) -> None:
        """Move the times it occurred into *tally*."""
        if self.times:
            for path, outcome in self.outcomes:
                tally.count(path, outcome, self.times)
            self.times = 0


@dataclass(slots=True)
class _Parts:
    """Bytes, elements and counts while an element with its items is put together."""

    elements: list[Element] = field(default_factory=list)
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)


class Rewriter:
    """Treats the elements of data sets in one encoding under one set of rules, writing text as *codec*."""

    def __init__(self, rules: Rules, encoding: Encoding, codec: str, treatment: Treatment) -> None:
        self._rules = rules
        self._encoding = encoding
        self._codec = codec
        self._output = encoding.syntax
        self._treatment = treatment
        self._memos: dict[str, dict[bytes, Treated]] = {}
        self.creators: dict[bytes, str] = {}
        """Private creators by the bytes of their elements, which mean the same in this encoding alone."""

    def remembered(self, creator: str = "") -> dict[bytes, Treated]:
        """Return what was decided, by an element's bytes; of private elements for each *creator*."""
        memo = self._memos.get(creator)
        if memo is None:
            memo = self._memos.setdefault(creator, {})
        return memo

    def counted(self, tally: DeidTally) -> None:
        """Move the counts of all remembered decisions into *tally*."""
        totals: dict[tuple[tuple[str, Outcome], ...], int] = {}
        for memo in self._memos.values():
            for treated in memo.values():
                if treated.times:
                    totals[treated.outcomes] = totals.get(treated.outcomes, 0) + treated.times
                    treated.times = 0
        for outcomes, times in totals.items():
            for path, outcome in outcomes:
                tally.count(path, outcome, times)

    def treated(self, source: Source, span: Span, creator: str = "", read: Element | None = None) -> Treated:
        """Decide on the element *span*; *read* is what it holds, where that is known.

        Raises:
            Underived: a UID or accession number without pseudonym.
            UndecodableText, UndecodableHeader, Malformed, Unencodable: not to be read or written.

        """
        place = _Place("", "", creator, read)
        asked = self._asked(self._encoding, self._rules, span, place)
        if asked.vr == "SQ" and asked.action is not _REMOVE:
            parts = _Parts()
            content = self._sequence(source, self._encoding, self._rules, span, asked, parts)
            elements = {element.path: element for element in parts.elements}
            return Treated(content, elements, tuple(parts.outcomes))
        content, element, outcome = self._single(source, self._encoding, self._rules, span, asked)
        return Treated(content, {} if element is None else {element.path: element}, ((asked.kind, outcome),))

    def _asked(self, encoding: Encoding, rules: Rules, span: Span, place: "_Place") -> "_Asked":
        tag = f"{span[0]:08X}"
        creator = place.creator
        kind = place.kind + (private_step(tag, creator) if span[0] & PRIVATE else tag)
        vr = encoding.vr_of(span, creator)
        action = rules.action(tag, vr, creator)
        if action is _CHARACTER_SET and place.path:
            action = _REMOVE
        return _Asked(tag, place.path + tag, kind, vr, action, place.read)

    def _element(
        self, source: Source, encoding: Encoding, rules: Rules, span: Span, place: "_Place", parts: _Parts
    ) -> bytes:
        asked = self._asked(encoding, rules, span, place)
        if asked.vr == "SQ" and asked.action is not _REMOVE:
            return self._sequence(source, encoding, rules, span, asked, parts)
        content, element, outcome = self._single(source, encoding, rules, span, asked)
        parts.outcomes.append((asked.kind, outcome))
        if element is not None:
            parts.elements.append(element)
        return content

    def _single(
        self, source: Source, encoding: Encoding, rules: Rules, span: Span, asked: "_Asked"
    ) -> tuple[bytes, Element | None, Outcome]:
        """Return what becomes of an element that is no sequence: bytes, values, and what to count."""
        tag, path, _, vr, action, read = asked
        if action is _REMOVE:
            return b"", None, _REMOVED
        if action is _BULK or vr in BULK_VRS:
            if action is not _BULK and action is not _KEEP:
                return b"", None, _REMOVED
            return self._copied(source, encoding, span, vr), None, _KEPT
        values = read.values if read and read.vr == vr else encoding.values(source, span, vr, path)
        new = treat(action, vr, values, self._treatment)
        if not _is_telling(new) and _is_telling(values) and rules.is_required(tag):
            new = dummy_of(vr) or new  # type 1 in its IOD: must not become empty
        outcome = outcome_of(action, values, new)
        if new is None:
            return b"", None, outcome
        return self._written(source, encoding, span, vr, values, new), Element(path, vr, new), outcome

    def _written(
        self,
        source: Source,
        encoding: Encoding,
        span: Span,
        vr: str,
        old: tuple[Value, ...],
        new: tuple[Value, ...],
    ) -> bytes:
        is_same_order = encoding.syntax.is_little == self._output.is_little
        if new == old and (is_same_order or vr not in NUMBER_VRS):
            raw = source[span[3] : span[4]]
            if encoding.codecs == (self._codec,) or (raw.isascii() and _ESCAPE not in raw):
                return self._copied(source, encoding, span, vr)
        return encoded_element(span[0], vr, encoded(vr, new, self._codec, self._output), self._output)

    def _copied(self, source: Source, encoding: Encoding, span: Span, vr: str) -> bytes:
        """Return the element byte for byte; under a new header where its own has another form."""
        if encoding.syntax == self._output and span[1] == vr and not span[5]:
            return source[span[BEGIN] : after(span)]
        if encoding.syntax.is_little != self._output.is_little and (vr in NUMBER_VRS or vr in BULK_VRS):
            raise Malformed("bytes of an item sent as UN are in the other order")
        return encoded_element(span[0], vr, source[span[3] : span[4]], self._output)

    def _sequence(
        self,
        source: Source,
        encoding: Encoding,
        rules: Rules,
        span: Span,
        asked: "_Asked",
        parts: _Parts,
    ) -> bytes:
        tag, path, kind, _, action, _ = asked
        parts.elements.append(Element(path, "SQ", ()))
        if action is _EMPTY:
            parts.outcomes.append((kind, _EMPTIED))
            return sequence(span[0], (), self._output)
        parts.outcomes.append((kind, _KEPT))
        inside = rules.inside(tag)
        written: list[bytes] = []
        for item in opened_items(source, encoding, span):
            verdict = _verdict(source, item, rules) if action is _CONTENT else _KEEP
            if verdict is _REMOVE:
                parts.outcomes.append((f"{kind}.0040A043", _REMOVED))
                continue
            at = _Place(f"{path}[{len(written)}].", f"{kind}.", "")
            judged = inside.dummies() if verdict is _DUMMY else inside
            written.append(self._item(source, item, judged, at, parts))
        return sequence(span[0], written, self._output)

    def _item(self, source: Source, item: Item, rules: Rules, place: "_Place", parts: _Parts) -> bytes:
        creators, written = Creators(), list[bytes]()
        reserved: dict[int, bytes] = {}
        for span in item.spans:
            tag = span[0]
            at = _Place(place.path, place.kind, creators.of(tag))
            if is_creator(tag):
                creators.note(tag, item.encoding.text(source, span))
                reserved[block_of(tag)] = self._copied(source, item.encoding, span, "LO")
                continue
            content = self._element(source, item.encoding, rules, span, at, parts)
            if content and tag >> 16 & 1:
                written.append(reserved.pop(tag >> 8, b""))
            written.append(content)
        return b"".join(written)


class _Place(NamedTuple):
    """Where an element stands: path with item numbers, path without them, private creator.

    ``read`` is the element as it was read before.
    """

    path: str
    kind: str
    creator: str
    read: Element | None = None


class _Asked(NamedTuple):
    """What there is to decide on one element: tag, where it stands, how it is counted, its VR, the action.

    ``read`` is the element as it was read before.
    """

    tag: str
    path: str
    kind: str
    vr: str
    action: Action
    read: Element | None


def _is_telling(values: tuple[Value, ...] | None) -> bool:
    """Whether one of *values* is not empty."""
    if values is None:
        return False
    return values.count("") < len(values)


def _verdict(source: Source, item: Item, rules: Rules) -> Action:
    """Return what PS3.15 Table E.3.4-1 says of a content item, by its concept name (0040,A043)."""
    found = {span[0]: span for span in item.spans}
    if _NAME not in found:
        return _KEEP
    kind = item.encoding.text(source, found[_VALUE_TYPE]) if _VALUE_TYPE in found else ""
    for concept in opened_items(source, item.encoding, found[_NAME]):
        named = {span[0]: span for span in concept.spans}
        code = named.get(_CODE) or named.get(_LONG_CODE)
        if code is not None and _SCHEME in named:
            scheme = concept.encoding.text(source, named[_SCHEME])
            return rules.content(scheme, concept.encoding.text(source, code), kind)
    return _KEEP


def codec_for(encoding: Encoding) -> str:
    """Return the codec to write text in: the declared one, or UTF-8 where code extensions are in use."""
    return encoding.codecs[0] if len(encoding.codecs) == 1 and "2022" not in encoding.codecs[0] else "utf-8"


def private_kept(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return *pieces* without the private creators of blocks of which nothing is kept."""
    private = [tag for tag, _ in pieces if tag & PRIVATE]
    if not private:
        return pieces
    used = {tag >> 8 for tag in private if not is_creator(tag)}
    return [piece for piece in pieces if not is_creator(piece[0]) or block_of(piece[0]) in used]
