"""What the data sets of one series have in common: runs of equal bytes between the few elements that vary.

A data set that fits a pattern need not be walked: a run costs one comparison, and equal bytes from where an
element begins are equal elements, whatever stands around them (PS3.5 7.1). Only what varies is read. What
decides how others are read (character set, PixelRepresentation, private creators) or by which rules they
are treated (SOP class) never varies within a pattern, nor does the series.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from p2d.deid.rewrite.encoding import Encoding, is_creator
from p2d.dicom.walk import (
    BEGIN,
    END,
    IS_UNDEFINED,
    TAG,
    VALUE,
    VR,
    Malformed,
    Source,
    Span,
    Syntax,
    after,
    has_short_length,
    span_at,
)
from p2d.model.header import Element

MAX_FIXED: Final = 4096
"""Longer elements count as varying: they are decided on each time."""

_MOST_PATTERNS: Final = 8
_SLACK: Final = 2048
"""Bytes by which a header may be longer than the pattern's."""

_FIXED: Final = frozenset({0x00080005, 0x00080016, 0x0020000E, 0x00280103})
Known = Mapping[str, Element]


@dataclass(frozen=True, slots=True)
class Read:
    """A data set whose elements were all read: where they stand, their bytes and what they hold.

    ``known`` are the elements by path of each; None for private ones. ``pixels`` is the last element, if it
    is pixel data.
    """

    spans: Sequence[Span]
    raw: Sequence[bytes] = field(repr=False)
    known: Sequence[Known | None] = field(repr=False)
    pixels: Span | None

    @property
    def elements(self) -> dict[str, Element]:
        """All elements by path, in the order in which they stand."""
        return _together(self.known)


@dataclass(frozen=True, slots=True)
class Fit:
    """The elements of a data set that vary in its pattern, and its pixel data."""

    spans: Sequence[Span]
    raw: Sequence[bytes] = field(repr=False)
    pixels: Span | None
    header_end: int


class Pattern:
    """What a data set has to be equal to, byte for byte, in order to consist of the same elements.

    ``read`` is the data set that it was made from, ``varying`` the places of its elements that may differ.
    """

    def __init__(self, encoding: Encoding, read: Read, varying: frozenset[int]) -> None:
        self.read = read
        self.encoding = encoding
        self.varying = tuple(sorted(varying))
        self.fits = 0
        self._tags = [span[TAG] for span in read.spans]
        self._runs = _runs(read, self.varying)
        self._places = [_place(encoding.syntax, read.spans[at], read.raw[at]) for at in self.varying]
        self._reach = sum(map(len, read.raw)) + _SLACK
        self.elements = read.elements

    def decides(self, paths: Iterable[str]) -> bool:
        """Whether the elements at *paths* are the same in all that fits, or absent in all."""
        varying = {f"{self._tags[at]:08X}" for at in self.varying}
        return varying.isdisjoint(path[:8] for path in paths)

    def fit(self, source: Source, begin: int) -> Fit | None:
        """Return what varies in the data set of *source* at *begin*, or None: it has another form.

        Pixel data are not touched, other than to find the end of fragments.
        """
        try:
            return self._fit(source, begin)
        except Malformed:
            return None

    def _fit(self, source: Source, begin: int) -> Fit | None:
        head = source[begin : begin + self._reach]
        size, position = len(head), 0
        spans: list[Span] = []
        raw: list[bytes] = []
        starts = head.startswith
        for run, (lead, tag, vr) in zip(self._runs, self._places, strict=False):
            if not starts(run, position):
                return None
            position += len(run)
            if lead:
                value = position + 8
                if not starts(lead, position) or value > size:
                    return None
                end = value + head[position + 6] + (head[position + 7] << 8)
                if end > size:
                    return None
                spans.append((tag, vr, begin + position, begin + value, begin + end, False))
                raw.append(head[position:end])
                position = end
                continue
            span = span_at(source, self.encoding.syntax, begin + position, len(source))
            if span[TAG] != tag or span[VR] != vr:
                return None
            spans.append(span)
            raw.append(source[span[BEGIN] : after(span)])
            position = after(span) - begin
        run = self._runs[-1]
        if not starts(run, position):
            return None
        return self._ended(source, begin + position + len(run), spans, raw)

    def _ended(self, source: Source, end: int, spans: list[Span], raw: list[bytes]) -> Fit | None:
        """Return the fit where nothing but pixel data follow the header, which ends at *end*."""
        pixels = None
        if self.read.pixels is not None:
            pixels = span_at(source, self.encoding.syntax, end, len(source))
            if pixels[TAG] != self.read.pixels[TAG]:
                return None
        if (after(pixels) if pixels else end) != len(source):
            return None
        return Fit(spans, raw, pixels, end)

    def elements_with(self, varying: Sequence[Known | None]) -> dict[str, Element]:
        """Return the elements by path, in their order, of a data set with *varying* in its places."""
        found = self.elements.copy()
        for at, known in zip(self.varying, varying, strict=True):
            before = self.read.known[at]
            if known is None or before is None:  # private
                continue
            if known.keys() != before.keys():
                return self._elements_anew(varying)
            found.update(known)
        return found

    def _elements_anew(self, varying: Sequence[Known | None]) -> dict[str, Element]:
        every = list(self.read.known)
        for at, known in zip(self.varying, varying, strict=True):
            every[at] = known
        return _together(every)

    def widened(self, read: Read) -> "Pattern | None":
        """Return the pattern that *read* fits as well, or None: it is of another form or another series."""
        if [span[TAG] for span in read.spans] != self._tags or (read.pixels is None) != (
            self.read.pixels is None
        ):
            return None
        differing = {
            at for at, (one, other) in enumerate(zip(self.read.raw, read.raw, strict=True)) if one != other
        }
        if any(
            self.read.spans[at][VR] != read.spans[at][VR] or _is_fixed(read.spans[at][TAG])
            for at in differing
        ):
            return None
        varying = differing.union(self.varying)
        if 2 * len(varying) > len(read.spans):
            return None
        return Pattern(self.encoding, read, frozenset(varying))


class Patterns:
    """The patterns that were met last, of one encoding each; not for several threads."""

    def __init__(self) -> None:
        self._patterns: list[Pattern] = []

    def fit(self, syntax: Syntax, source: Source, begin: int) -> tuple[Pattern, Fit] | None:
        """Return the pattern that the data set of *source* at *begin* fits, and what varies."""
        for at, pattern in enumerate(self._patterns):
            if pattern.encoding.syntax == syntax and (fit := pattern.fit(source, begin)) is not None:
                pattern.fits += 1
                if at:
                    self._patterns.insert(0, self._patterns.pop(at))
                return pattern, fit
        return None

    def learn(self, encoding: Encoding, read: Read) -> None:
        """Take *read*, which fitted no pattern: the next one like it will."""
        long = frozenset(at for at, raw in enumerate(read.raw) if len(raw) > MAX_FIXED)
        if any(_is_fixed(read.spans[at][TAG]) for at in long):
            return
        for at, pattern in enumerate(self._patterns):
            if pattern.encoding == encoding and (wider := pattern.widened(read)) is not None:
                del self._patterns[at]
                self._patterns.insert(0, wider)
                return
        self._patterns.insert(0, Pattern(encoding, read, long))
        del self._patterns[_MOST_PATTERNS:]


def _together(every: Sequence[Known | None]) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for known in every:
        if known is not None:
            found.update(known)
    return found


def _is_fixed(tag: int) -> bool:
    return tag in _FIXED or is_creator(tag)


def _runs(read: Read, varying: Sequence[int]) -> list[bytes]:
    """Return the bytes before each varying element and behind the last."""
    edges = [-1, *varying, len(read.raw)]
    return [b"".join(read.raw[one + 1 : other]) for one, other in pairwise(edges)]


def _place(syntax: Syntax, span: Span, raw: bytes) -> tuple[bytes, int, str]:
    """Return tag and VR as bytes, where a length of two bytes follows them and is less than 4096; tag; VR."""
    is_lead = (
        has_short_length(syntax, span[VR]) and not span[IS_UNDEFINED] and span[END] - span[VALUE] <= MAX_FIXED
    )
    return (raw[:6] if is_lead else b"", span[TAG], span[VR])
