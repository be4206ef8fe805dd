"""Drawing in child processes with limits on memory, processor time and duration; a bomb costs one image.

Children are started when first needed, used again, and replaced when they die, are late or have drawn
1,000 images. They receive de-identified files only, and their environment holds no settings.
"""

import queue
from types import TracebackType
from typing import Self

from p2d.pixels.child import Child, LimitMet
from p2d.pixels.render import NotRenderable
from p2d.pixels.worker import REQUEST


class Sandbox:
    """A few drawing children, shared between threads; close it at the end.

    *memory_bytes* bounds a child's address space, *cpu_seconds* the processor time and *deadline_seconds*
    the duration of one image, waiting for the child's start included.
    """

    def __init__(
        self,
        *,
        children: int = 2,
        memory_bytes: int = 2 << 30,
        cpu_seconds: int = 20,
        deadline_seconds: float = 30.0,
    ) -> None:
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        self._children = [
            Child(
                "p2d.pixels.worker",
                memory_bytes=memory_bytes,
                cpu_seconds=cpu_seconds,
                deadline_seconds=deadline_seconds,
            )
            for _ in range(children)
        ]
        for child in self._children:
            self._idle.put(child)

    def render(self, content: bytes, *, frame: int = 0, quality: int = 90, width: int | None = None) -> bytes:
        """Return frame *frame* of the DICOM file *content* as JPEG; as ``render_jpeg``, in a child.

        Raises:
            NotRenderable: for every reason of ``render_jpeg``, and when the child met a limit.

        """
        if not 0 <= frame < 1 << 32:
            raise NotRenderable("no such frame")
        request = REQUEST.pack(frame, min(max(quality, 1), 95), min(max(width or 0, 0), 65_535), len(content))
        child = self._idle.get()
        try:
            status, payload = child.ask(request, content)
        except LimitMet as error:
            raise NotRenderable("drawing met a limit of memory or time") from error
        finally:
            self._idle.put(child)
        if status or not payload.startswith(b"\xff\xd8"):
            raise NotRenderable(
                payload.decode(errors="replace")[:100] if status == 1 else "no image came back"
            )
        return payload

    def close(self) -> None:
        """End all children."""
        for child in self._children:
            child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
