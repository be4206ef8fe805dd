"""Objects of gigabytes pass through the Storage SCP in flat memory: cut, or spooled outside the heap."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2d.testing.datasets import ct
from p2d.testing.sender import RawSender, content_of

pytestmark = pytest.mark.system

UID = "1.2.826.0.1.3680043.8.498.77.6"
FRAME = bytes(131_060)
MIB = 1 << 20
RECEIVER = """
import json, sys
from pathlib import Path
from p2d.dimse.acceptor import Rules
from p2d.dimse.awaited import Awaited
from p2d.dimse.listener import Door, StoreScp

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

uid, pixels, count = sys.argv[1], sys.argv[2] == "pixels", int(sys.argv[3])
scp = StoreScp(Door("127.0.0.1", 0), Rules("P2D", frozenset({"ARCHIVE"})))
awaited = Awaited([f"{uid}.{number}" for number in range(count)], pixels=pixels)
with scp.expecting(awaited) as delivery:
    print(scp.port, flush=True)
    before, kept, length, dropped = 0, 0, 0, 0
    for number in range(count):
        one = delivery.take(120)
        kept, length, dropped = kept + 1, len(one.content), one.dropped_bytes
        del one
        before = before or peak()
    found = {"before": before, "after": peak(), "kept": kept, "length": length, "dropped": dropped}
    print(json.dumps(found), flush=True)
    sys.stdin.read()  # until the sender has its answer
scp.stop()
"""


@contextmanager
def receiver(pixels: str, count: int) -> Iterator[tuple[subprocess.Popen[str], RawSender]]:
    """Run a Storage SCP in a process of its own; yield it and an association with it."""
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen(
        [sys.executable, "-c", RECEIVER, UID, pixels, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    ) as process:
        assert process.stdout is not None
        try:
            with RawSender(int(process.stdout.readline()), seconds=60) as sender:
                assert sender.associate()[0] == 2
                yield process, sender
        finally:
            process.terminate()


def send(sender: RawSender, uid: str, length: int) -> int:
    """Send a multi-frame object of *length* bytes of pixel data; return the status of its answer."""
    header = content_of(ct(SOPInstanceUID=uid, NumberOfFrames="1000", PixelData=None))
    sender.begin(uid, header + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))
    for _ in range(length // len(FRAME)):
        sender.more(FRAME)
    sender.more(FRAME[: length % len(FRAME)], last=True)
    answer = sender.pdu()
    at = answer.index(b"\0\0\0\x09\x02\0\0\0") + 8  # Status (0000,0900)
    return int.from_bytes(answer[at : at + 2], "little")


def measured(pixels: str, lengths: list[int]) -> dict[str, int]:
    with receiver(pixels, len(lengths)) as (process, sender):
        for number, length in enumerate(lengths):
            assert send(sender, f"{UID}.{number}", length) == 0
        assert process.stdout is not None
        found: dict[str, int] = json.loads(process.stdout.readline())
    assert found["kept"] == len(lengths)
    return found


def test_two_gigabytes_that_are_cut_leave_memory_flat() -> None:
    found = measured("header", [MIB, 2048 * MIB])

    assert found["dropped"] > 2048 * MIB
    assert found["length"] < 2000
    assert found["after"] - found["before"] < 8 * 1024  # KiB


def test_a_large_object_that_is_kept_stays_outside_the_heap() -> None:
    found = measured("pixels", [MIB, 128 * MIB])

    assert found["length"] > 128 * MIB
    assert found["after"] - found["before"] < 16 * 1024


def test_many_objects_leave_memory_flat() -> None:
    found = measured("pixels", [MIB // 2] * 200)

    assert found["after"] - found["before"] < 80 * 1024  # 64 MiB may wait to be taken
