"""How the elements of a data set are encoded, and whose its private elements are."""

from dataclasses import dataclass, field
from typing import Final

from p2d.deid.standard.private import safe_vr
from p2d.dicom.charset import CharacterSet, UndecodableText
from p2d.dicom.elements import may_be_signed, values_of
from p2d.dicom.walk import Source, Span, Syntax, vr_at
from p2d.model.header import Value

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
