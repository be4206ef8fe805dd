"""Drawing in child processes with limits on memory, processor time and duration; a bomb costs one image.

Children are started when first needed, used again, and replaced when they die, are late or have drawn
1,000 images. They receive de-identified files only, and their environment holds no settings.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from types import TracebackType
from typing import IO, Final, Self

from p2d.pixels.render import NotRenderable
from p2d.pixels.worker import ANSWER, REQUEST

_MAX_ANSWER: Final = 256 << 20
_IMAGES_PER_CHILD: Final = 1000
_KEPT: Final = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH")


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
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._children = [_Child(memory_bytes, cpu_seconds, deadline_seconds) for _ in range(children)]
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
            return child.draw(request, content)
        finally:
            self._idle.put(child)

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


class _Child:
    """One process; used by one thread at a time."""

    def __init__(self, memory_bytes: int, cpu_seconds: int, deadline_seconds: float) -> None:
        self._arguments = [str(memory_bytes), str(cpu_seconds)]
        self._deadline = deadline_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._drawn = 0

    def draw(self, request: bytes, content: bytes) -> bytes:
        process = self._running()
        late = threading.Timer(self._deadline, process.kill)
        late.start()
        try:
            status, payload = _exchange(process, request, content)
        except (OSError, EOFError) as error:
            self.end()
            raise NotRenderable("drawing met a limit of memory or time") from error
        finally:
            late.cancel()
        self._drawn += 1
        if self._drawn >= _IMAGES_PER_CHILD:
            self.end()
        if status or not payload.startswith(b"\xff\xd8"):
            raise NotRenderable(
                payload.decode(errors="replace")[:100] if status == 1 else "no image came back"
            )
        return payload

    def end(self) -> None:
        process, self._process, self._drawn = self._process, None, 0
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "p2d.pixels.worker", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # One thread: every further one of OpenBLAS claims address space.
                env={k: v for k, v in os.environ.items() if k in _KEPT} | {"OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process


def _exchange(process: subprocess.Popen[bytes], request: bytes, content: bytes) -> tuple[int, bytes]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(request)
    process.stdin.write(content)
    process.stdin.flush()
    status, length = ANSWER.unpack(_exactly(process.stdout, ANSWER.size))
    if length > _MAX_ANSWER:
        raise EOFError
    return status, _exactly(process.stdout, length)


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    received = pipe.read(size)
    if len(received) < size:
        raise EOFError
    return received
