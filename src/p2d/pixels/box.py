"""Rectangles of pixels: half open, origin in the upper left corner (PS3.3 C.7.6.3.1.4 order of rows)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """Columns *left* to *right* and rows *top* to *bottom*; *right* and *bottom* are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns inside; never negative."""
        return max(0, self.right - self.left)

    @property
    def height(self) -> int:
        """Rows inside; never negative."""
        return max(0, self.bottom - self.top)

    @property
    def is_empty(self) -> bool:
        """Whether no pixel is inside."""
        return self.right <= self.left or self.bottom <= self.top

    def clipped(self, rows: int, columns: int) -> Self:
        """Return what lies inside an image of *rows* and *columns*; may be empty."""
        return type(self)(
            min(max(self.left, 0), columns),
            min(max(self.top, 0), rows),
            min(max(self.right, 0), columns),
            min(max(self.bottom, 0), rows),
        )

    def padded(self, pixels: int) -> Self:
        """Return the box grown by *pixels* on every side; may reach outside the image."""
        return type(self)(self.left - pixels, self.top - pixels, self.right + pixels, self.bottom + pixels)

    def moved(self, right: int, down: int) -> Self:
        """Return the box moved by so many columns and rows."""
        return type(self)(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def around(self, other: "Box") -> Self:
        """Return the smallest box around both."""
        return type(self)(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def covers(self, other: "Box") -> bool:
        """Whether every pixel of *other* is inside."""
        return other.is_empty or (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


def without_covered(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Return *boxes* in order, each once, without empty ones and those inside another."""
    distinct = sorted({box for box in boxes if not box.is_empty})
    return tuple(
        box for box in distinct if not any(other is not box and other.covers(box) for other in distinct)
    )


def joined_lines(boxes: Iterable[Box], gap: float) -> tuple[Box, ...]:
    """Return *boxes* with those of one line of text joined, where at most *gap* heights lie between them.

    Two boxes are of one line when each overlaps the other by half of the lower one's height.
    """
    left = list(without_covered(boxes))
    joined: list[Box] = []
    while left:
        box = left.pop(0)
        near = next((other for other in left if _is_one_line(box, other, gap)), None)
        if near is None:
            joined.append(box)
        else:
            left.remove(near)
            left.insert(0, box.around(near))
    return without_covered(joined)


def _is_one_line(one: Box, other: Box, gap: float) -> bool:
    low, high = sorted((one.height, other.height))
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    between = max(one.left, other.left) - min(one.right, other.right)
    return high <= 2 * low and shared * 2 >= low and between <= gap * low


def outside(regions: Sequence[Box], rows: int, columns: int) -> tuple[Box, ...]:
    """Return disjoint boxes that hold exactly the pixels outside the union of *regions*.

    Without a region that is the whole image.
    """
    inside = [box for box in (region.clipped(rows, columns) for region in regions) if not box.is_empty]
    edges = sorted({0, rows, *(box.top for box in inside), *(box.bottom for box in inside)})
    found: list[Box] = []
    for top, bottom in pairwise(edges):
        left = 0
        for box in sorted(box for box in inside if box.top <= top and box.bottom >= bottom):
            if box.left > left:
                found.append(Box(left, top, box.left, bottom))
            left = max(left, box.right)
        if left < columns:
            found.append(Box(left, top, columns, bottom))
    return tuple(found)
