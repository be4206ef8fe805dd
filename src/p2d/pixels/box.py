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
