import io
import os
import resource
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from p2d.pixels.render import NotRenderable, render_jpeg
from p2d.pixels.sandbox import Sandbox


def picture() -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("2.25.1")
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = np.arange(256, dtype=np.uint8).tobytes()
    return dataset


def encoded(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def bomb(size: int) -> bytes:
    """Return a deflated file that inflates to *size* zero bytes after its meta information."""
    dataset = picture()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = encoded(dataset)
    meta_end = 144 + int.from_bytes(whole[140:144], "little")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    mebibyte = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return whole[:meta_end] + mebibyte * (size >> 20) + deflater.flush()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(children=1, memory_bytes=448 << 20) as running:
        yield running


def child_of(sandbox: Sandbox) -> int:
    process = sandbox._children[0]._process
    return process.pid if process else 0


def test_a_child_draws_what_the_function_draws(sandbox: Sandbox) -> None:
    content = encoded(picture())

    assert sandbox.render(content, width=8) == render_jpeg(content, width=8)


def test_one_child_draws_many_images(sandbox: Sandbox) -> None:
    sandbox.render(encoded(picture()))
    first = child_of(sandbox)

    sandbox.render(encoded(picture()))

    assert child_of(sandbox) == first


def test_what_cannot_be_drawn_keeps_its_reason_and_the_child(sandbox: Sandbox) -> None:
    sandbox.render(encoded(picture()))
    first = child_of(sandbox)

    with pytest.raises(NotRenderable, match="readable DICOM"):
        sandbox.render(b"nothing")

    assert child_of(sandbox) == first


def test_a_memory_bomb_costs_one_image(sandbox: Sandbox) -> None:
    with pytest.raises(NotRenderable):
        sandbox.render(bomb(1 << 30))

    assert sandbox.render(encoded(picture())).startswith(b"\xff\xd8")


def test_a_killed_child_is_replaced(sandbox: Sandbox) -> None:
    sandbox.render(encoded(picture()))
    first = sandbox._children[0]._process
    assert first is not None
    first.kill()
    first.wait()

    assert sandbox.render(encoded(picture())).startswith(b"\xff\xd8")
    assert child_of(sandbox) != first.pid


def test_a_late_child_is_killed_and_the_next_image_gets_a_new_one() -> None:
    with Sandbox(children=1, deadline_seconds=0.01) as hurried:
        began = time.monotonic()

        with pytest.raises(NotRenderable, match="limit"):
            hurried.render(encoded(picture()))

        assert time.monotonic() - began < 5
        assert child_of(hurried) == 0


def test_the_child_took_its_limits(sandbox: Sandbox) -> None:
    sandbox.render(encoded(picture()))

    pid = child_of(sandbox)

    assert resource.prlimit(pid, resource.RLIMIT_AS) == (448 << 20, 448 << 20)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
    assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] < 60


def test_the_child_inherits_no_setting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2D_CANARY", "cornelia")
    sandbox._children[0].end()
    sandbox.render(encoded(picture()))

    environment = Path(f"/proc/{child_of(sandbox)}/environ").read_bytes()

    assert b"cornelia" not in environment


def test_closing_ends_the_children() -> None:
    with Sandbox(children=1) as closing:
        closing.render(encoded(picture()))
        pid = child_of(closing)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
