"""What comes over DICOMweb takes no more memory than one object, however much comes."""

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from p2d.dimse.spool import Allowance
from p2d.pacs.dicomweb.connection import Answer, WebConnection
from p2d.pacs.dicomweb.json_array import objects_of
from p2d.pacs.dicomweb.retrieve import Retriever, Waiting
from p2d.pacs.port import RetrieveCounts
from p2d.settings.gateway import WebArchive

MIB = 1 << 20


@contextmanager
def peak() -> Iterator[list[float]]:
    """Fill a list with the MiB of Python's own memory at the peak of the block."""
    reached: list[float] = []
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield reached
        reached.append((tracemalloc.get_traced_memory()[1] - before) / MIB)
    finally:
        tracemalloc.stop()


def body(objects: int, mib: int) -> Iterator[bytes]:
    piece = bytes(65_536)
    for _ in range(objects):
        yield b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n"
        yield from (piece for _ in range(mib * 16))
    yield b"\r\n--b--\r\n"


def test_large_objects_are_kept_off_the_heap_one_at_a_time() -> None:
    settings = WebArchive.model_validate({"connector": "dicomweb", "url": "http://127.0.0.1:1"})
    connection = WebConnection(settings)
    retriever, waiting = Retriever(connection), Waiting([], RetrieveCounts())
    answer = Answer(200, "multipart/related; boundary=b", "", body(3, 64))

    with peak() as reached:
        lengths = [len(one) for one in retriever._parts(answer, waiting)]
    connection.close()

    assert lengths == [64 * MIB] * 3
    assert reached[0] < 8  # what an object may have before it moves to a file in memory, and a chunk
    assert waiting.allowance.left == Allowance().left - 3 * 64 * MIB


def test_headers_of_a_long_series_are_split_one_at_a_time() -> None:
    one = json.dumps({f"{tag:08X}": {"vr": "LO", "Value": ["x" * 50]} for tag in range(200)}).encode()

    def arriving() -> Iterator[bytes]:
        yield b"["
        for number in range(40):
            yield b"," * (number > 0) + one[:7000]
            yield one[7000:]
        yield b"]"

    with peak() as reached:
        count = sum(len(each) == 200 for each in objects_of(arriving()))

    assert count == 40
    assert reached[0] < 0.3  # of 0.65 MiB in all
