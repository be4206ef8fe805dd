"""Keep the header of a data set while it arrives and drop the rest at once, in constant memory.

The header is the data set up to, not including, its first pixel data at top level: (7FE0,0008), (7FE0,0009)
or (7FE0,0010). What follows is counted, never kept: the elements after the pixel data (Data Set Trailing
Padding, Digital Signatures) go with them. Searching for the bytes of the tag would be wrong, as icon images
and private values hold them too, so the elements are walked. Where bytes are missing within a sequence of
undefined length, the walk is tried again only after the buffer has doubled: all walks together cost two.

Big endian and deflated transfer syntaxes are refused: they are never offered either.
"""

from typing import Final

from p2d.dicom.arriving import up_to_pixels
from p2d.dicom.uids import is_encapsulated, is_transfer_syntax
from p2d.dicom.walk import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Malformed, Syntax

LONGEST_HEADER: Final = 64 << 20
"""Bytes of a header that a tap keeps unless told otherwise; enhanced multi-frame objects reach some MiB."""

_IMPLICIT_UID: Final = "1.2.840.10008.1.2"
_EXPLICIT_UID: Final = "1.2.840.10008.1.2.1"
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_TAG_BYTES: Final = 8
"""What has to be seen of the pixel data to know that they begin."""


class Unreadable(ValueError):  # noqa: N818 - says what is wrong, as p2d.model.errors do
    """What arrives is no data set, is not whole, or its header is too long; holds no value."""


def syntax_of(transfer_syntax_uid: str) -> Syntax:
    """Return how data sets under *transfer_syntax_uid* are encoded.

    Raises:
        Unreadable: big endian, deflated, or no registered transfer syntax.

    """
    if transfer_syntax_uid == _IMPLICIT_UID:
        return IMPLICIT_LITTLE
    is_little = transfer_syntax_uid == _EXPLICIT_UID or is_encapsulated(transfer_syntax_uid)
    if not is_little or transfer_syntax_uid in _DEFLATED or not is_transfer_syntax(transfer_syntax_uid):
        raise Unreadable("a transfer syntax that P2D never offers")
    return EXPLICIT_LITTLE


class HeaderTap:
    """The header of one data set, fed with fragments as they arrive.

    ``dropped_bytes`` counts what was not kept, ``cut_at`` is the tag of the pixel data cut off, or 0.
    """

    __slots__ = (
        "_buffer",
        "_limit",
        "_next_try",
        "_position",
        "_syntax",
        "cut_at",
        "dropped_bytes",
        "header",
    )

    def __init__(self, transfer_syntax_uid: str, limit: int = LONGEST_HEADER) -> None:
        self._syntax = syntax_of(transfer_syntax_uid)
        self._limit = limit
        self._buffer = bytearray()
        self._position = 0
        self._next_try = 0
        self.header: bytes | None = None
        self.cut_at = 0
        self.dropped_bytes = 0

    def write(self, fragment: bytes | memoryview, *, last: bool = False) -> None:
        """Take the next *fragment*; ``header`` is there once the pixel data began or the *last* one came.

        Raises:
            Unreadable: no data set, not whole, or its header is longer than the limit. Nothing is kept then,
                and whatever else comes is refused too.

        """
        if self.header is not None:
            self.dropped_bytes += len(fragment)
            return
        try:
            self._take(memoryview(fragment), last=last)
        except Malformed as error:
            self._buffer = bytearray()
            self._limit = -_TAG_BYTES  # no room for anything any more
            raise Unreadable(str(error)) from None

    def _take(self, fragment: memoryview, *, last: bool) -> None:
        room = self._limit + _TAG_BYTES - len(self._buffer)
        taken = fragment[:room]
        source: bytearray | memoryview = taken  # mostly holds the whole header: its pixels need no copy
        if self._buffer:
            self._buffer += taken
            source = self._buffer
        is_full = len(taken) < len(fragment)
        if last or is_full or len(source) >= self._next_try:
            header = self._walked(source, last=last and not is_full)
            if header is not None:
                self.dropped_bytes = len(source) - len(header) + len(fragment) - len(taken)
                self.header, self._buffer = header, bytearray()
                return
            if is_full:
                raise Malformed("a header longer than the limit")
        if not self._buffer:
            self._buffer += taken

    def _walked(self, source: bytearray | memoryview, *, last: bool) -> bytes | None:
        """Walk on from where the last walk ended; return the header where that completes it."""
        reached = up_to_pixels(source, self._syntax, self._position)
        if reached.position > self._limit or reached.needed > self._limit + _TAG_BYTES:
            raise Malformed("a header longer than the limit")
        if reached.tag or (last and reached.position == len(source)):
            self.cut_at = reached.tag
            return bytes(source[: reached.position])
        if last:
            raise Malformed("ends within an element")
        self._position = reached.position
        self._next_try = reached.needed or 2 * len(source)
        return None
