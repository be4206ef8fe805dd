"""Decisions on whole patterns: what becomes of a data set that differs in a few elements from one before.

A plan holds nothing that was not decided and searched element by element; it spares looking each decision up
again. It lives as long as the decisions do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.report.tally import DeidTally
from p2d.deid.rewrite.assembly import Piece, joined
from p2d.deid.rewrite.encoding import PRIVATE
from p2d.deid.rewrite.pattern import Pattern
from p2d.deid.rewrite.rewriter import Treated, private_kept
from p2d.dicom.walk import Span
from p2d.model.header import Element

LEAST_FITS: Final = 2
"""Data sets that must fit a pattern before a plan is made for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """One element of a header: its tag, its private creator, and what was decided on such, by bytes."""

    tag: int
    creator: str
    remembered: dict[bytes, Treated] = field(repr=False)


class Plan:
    """What becomes of the data sets that fit *pattern*, from what became of one of them."""

    def __init__(self, pattern: Pattern, places: Sequence[Place], treated: Sequence[Treated]) -> None:
        self._varying = pattern.varying
        self.places = [places[at] for at in pattern.varying]
        self._tags = [place.tag for place in places]
        self._treated = list(treated)
        varying = frozenset(pattern.varying)
        self._fixed = [one for at, one in enumerate(treated) if at not in varying]
        self._elements = elements_of(treated)
        self._times = 0
        self._additions: Sequence[Piece] | None = None
        self._chunks: list[bytes] = []
        self._slots: list[tuple[int, int]] = []
        self._own = 0

    @property
    def holds(self) -> bool:
        """Whether each decision on what does not vary is one that is taken once."""
        return all(one.is_remembered for one in self._fixed)

    def elements(self, varied: Sequence[Treated]) -> dict[str, Element]:
        """Return the released elements by path, in their order, of a data set that holds *varied*."""
        found = self._elements.copy()
        for at, new in zip(self._varying, varied, strict=True):
            old = self._treated[at]
            if bool(new.encoded) != bool(old.encoded):
                return elements_of(self._all(varied))
            if new is old or not new.encoded:
                continue
            if new.elements.keys() != old.elements.keys():
                return elements_of(self._all(varied))
            found.update(new.elements)
        return found

    def pieces(self, varied: Sequence[Treated]) -> list[Piece]:
        """Return the elements of a file that holds *varied*, private creators without elements left out."""
        return private_kept(
            [
                (tag, one.encoded)
                for tag, one in zip(self._tags, self._all(varied), strict=True)
                if one.encoded
            ]
        )

    def joined(self, varied: Sequence[Treated], additions: Sequence[Piece], own: Piece) -> bytes:
        """Return the header of a file: that of a data set that holds *varied*, with *additions* and *own*.

        These take the place of what stood there. *own* is of this one file, *additions* are those of many.
        """
        if not self._is_alike(varied):
            return joined(self.pieces(varied), [*additions, own], None)[0]
        if additions is not self._additions:
            self._lay_out(additions, own[0])
        chunks = self._chunks.copy()
        chunks[self._own] = own[1]
        for slot, number in self._slots:
            chunks[slot] = varied[number].encoded
        return b"".join(chunks)

    def _is_alike(self, varied: Sequence[Treated]) -> bool:
        """Whether the same private creators stay as in the data set that the plan was made from."""
        return all(
            bool(new.encoded) == bool(self._treated[at].encoded)
            for at, new, place in zip(self._varying, varied, self.places, strict=True)
            if place.tag & PRIVATE
        )

    def _lay_out(self, additions: Sequence[Piece], own: int) -> None:
        """Cut the header into bytes that stay and slots: one a varying element, one for tag *own*."""
        numbers = {self._tags[at]: number for number, at in enumerate(self._varying)}
        kept = dict(
            private_kept(
                [(t, x.encoded) for t, x in zip(self._tags, self._treated, strict=True) if x.encoded]
            )
        )
        placed = {**dict.fromkeys(numbers, b""), **kept, **dict(additions), own: b""}
        for tag, _ in (*additions, (own, b"")):
            numbers.pop(tag, None)
        self._chunks, self._slots, run = [], [], list[bytes]()
        for tag in sorted(placed):
            if tag != own and tag not in numbers:
                run.append(placed[tag])
                continue
            self._chunks += [b"".join(run), b""]
            run = []
            if tag == own:
                self._own = len(self._chunks) - 1
            else:
                self._slots.append((len(self._chunks) - 1, numbers[tag]))
        self._chunks.append(b"".join(run))
        self._additions = additions

    def _all(self, varied: Sequence[Treated]) -> list[Treated]:
        every = self._treated.copy()
        for at, one in zip(self._varying, varied, strict=True):
            every[at] = one
        return every

    def count(self) -> None:
        """Count what does not vary once more; ``settle`` hands it on."""
        self._times += 1

    def settle(self) -> None:
        """Hand what was counted on to the decisions themselves."""
        if self._times:
            for one in self._fixed:
                one.times += self._times
            self._times = 0


@dataclass(slots=True)
class Rewritten:
    """A header as it leaves: pieces for a file, elements for rows; ``codec`` is that of its text.

    ``used`` are the decisions on its elements; where there is a ``plan``, on those that vary.
    """

    elements: dict[str, Element] = field(repr=False)
    codec: str
    used: Sequence[Treated] = field(repr=False)
    pieces: Sequence[Piece] = field(repr=False, default=())
    plan: Plan | None = None

    def joined(self, additions: Sequence[Piece], own: Piece, pixels: Span | None) -> tuple[bytes, bytes]:
        """Return what stands before and behind the pixel data, *additions* and *own* in their places."""
        if self.plan is not None:
            return self.plan.joined(self.used, additions, own), b""
        return joined(self.pieces, [*additions, own], pixels)

    def count(self, tally: DeidTally) -> None:
        """Count what it took once the object left; what is remembered is counted later, all at once."""
        if self.plan is not None:
            self.plan.count()
        for treated in self.used:
            treated.times += 1
            if not treated.is_remembered:
                treated.count(tally)


def elements_of(treated: Sequence[Treated]) -> dict[str, Element]:
    """Return the released elements by path, in their order, of those that leave."""
    found: dict[str, Element] = {}
    for one in treated:
        if one.encoded:
            found.update(one.elements)
    return found
