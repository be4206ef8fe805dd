"""The child process that screens objects: takes limits on itself, loads the models, answers until EOF."""

import sys
from typing import BinaryIO

from p2d.pixels.child import allow_processor, send, take_limits
from p2d.pixels.masking import Detector, screen
from p2d.pixels.protocol import REQUEST, Task, Unscreenable, outcome_as_bytes, task_from_json


def serve(requests: BinaryIO, answers: BinaryIO, cpu_seconds: int, detector: Detector) -> None:
    """Answer *requests* until they end; each may take *cpu_seconds* of processor time."""
    while head := requests.read(REQUEST.size):
        task_length, length = REQUEST.unpack(head)
        allow_processor(cpu_seconds)
        task = task_from_json(requests.read(task_length))
        send(answers, *_answer(requests.read(length), task, detector))


def _answer(content: bytes, task: Task, detector: Detector) -> tuple[int, bytes]:
    try:
        return 0, outcome_as_bytes(screen(content, task, detector))
    except Unscreenable as refusal:
        return 1, refusal.code.encode()
    except MemoryError:
        return 1, b"too-large"


def _main() -> None:
    take_limits(int(sys.argv[1]))
    from p2d.pixels.detector import TextDetector  # noqa: PLC0415 - the models load under the limits, in the child alone

    serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[2]), TextDetector())


if __name__ == "__main__":
    _main()
