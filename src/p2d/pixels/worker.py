"""The child process that draws images: takes limits on itself, then answers requests on its pipes until EOF.

Request: frame, quality, width (0 = as it is; three unsigned 32-bit numbers), length (64 bits), DICOM file.
Answer: 0 drawn or 1 not (8 bits), length (64 bits), JPEG or reason in UTF-8. Numbers are big-endian.
"""

import struct
import sys
from typing import BinaryIO, Final

from p2d.pixels.child import allow_processor, send, take_limits
from p2d.pixels.render import NotRenderable, render_jpeg

REQUEST: Final = struct.Struct("!IIIQ")


def serve(requests: BinaryIO, answers: BinaryIO, cpu_seconds: int) -> None:
    """Answer *requests* until they end; each may take *cpu_seconds* of processor time."""
    while head := requests.read(REQUEST.size):
        frame, quality, width, length = REQUEST.unpack(head)
        allow_processor(cpu_seconds)
        send(answers, *_answer(requests.read(length), frame, quality, width))


def _answer(content: bytes, frame: int, quality: int, width: int) -> tuple[int, bytes]:
    try:
        return 0, render_jpeg(content, frame=frame, quality=quality, width=width or None)
    except NotRenderable as error:
        return 1, str(error).encode()


if __name__ == "__main__":
    take_limits(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[2]))
