"""A released instance as a JPEG, or withheld where its pixels cannot be shown."""

from dataclasses import dataclass, field
from typing import Protocol

from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld
from p2d.pixels.render import NotRenderable


class Renderer(Protocol):
    """Draws one image; ``p2d.pixels.sandbox.Sandbox`` in production."""

    def render(self, content: bytes, *, frame: int = 0, quality: int = 90, width: int | None = None) -> bytes:
        """Return frame *frame* of a DICOM file as JPEG.

        Raises:
            NotRenderable: with a reason that holds no value of the file.

        """
        ...


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A rendered image and the header it belongs to."""

    header: ReleasedHeader
    content: bytes = field(repr=False)


def to_jpeg(
    instance: ReleasedInstance, renderer: Renderer, *, frame: int = 0, width: int | None = None
) -> Jpeg | Withheld:
    """Return *instance* drawn by *renderer*, or ``Withheld`` with reason RENDERING.

    *frame* counts from 0; *width* in pixels bounds the width and keeps the proportions.
    """
    try:
        return Jpeg(instance.header, renderer.render(instance.content, frame=frame, width=width))
    except NotRenderable:
        header = instance.header
        return Withheld(header.patient, header.study, header.series, header.instance, Reason.RENDERING)
