"""The spool: objects come back as they were, stay off the disk, and stop at their limits."""

import mmap
import os
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse.spool import Allowance, OutOfSpace, Spool, TooManyBytes, memory_folder
from p2d.model.errors import Misconfigured
from p2d.testing.small_disk import small_disk

SHARED_MEMORY = Path("/dev/shm")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def small_folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder that takes files of 1 MiB in all: a tmpfs, or as an ordinary user a limit on files."""
    if os.geteuid():
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        yield SHARED_MEMORY
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return
    with small_disk(tmp_path / "spool", 1) as disk:
        yield disk.folder


@given(pieces=st.lists(st.binary(max_size=300), max_size=20), in_memory=st.integers(0, 2000))
def test_an_object_comes_back_as_it_was_on_either_side_of_the_limit(
    pieces: list[bytes], in_memory: int
) -> None:
    spool = Spool(in_memory=in_memory)

    for piece in pieces:
        spool.write(memoryview(piece))
    content = spool.content()

    whole = b"".join(pieces)
    assert content[:] == whole
    assert isinstance(content, mmap.mmap) == (len(whole) > in_memory)
    if isinstance(content, mmap.mmap):
        content.close()


@pytest.mark.parametrize("folder", [None, SHARED_MEMORY])
def test_a_large_object_has_no_name_and_leaves_no_file_open(folder: Path | None) -> None:
    before, names = open_files(), set(SHARED_MEMORY.iterdir())
    spool = Spool(in_memory=10, folder=folder)

    spool.write(b"x" * 100)
    content = spool.content()

    assert isinstance(content, mmap.mmap)
    assert content[:] == b"x" * 100
    assert set(SHARED_MEMORY.iterdir()) == names
    content.close()
    assert open_files() == before


def test_fragments_of_a_byte_cost_about_a_byte() -> None:
    spool = Spool()
    tracemalloc.start()
    try:
        for _ in range(100_000):
            spool.write(b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert spool.content() == b"x" * 100_000
    assert peak < 400_000


def test_an_object_longer_than_its_limit_is_dropped() -> None:
    before = open_files()
    spool = Spool(limit=100, in_memory=10)
    spool.write(b"x" * 90)

    with pytest.raises(TooManyBytes, match="an object is longer than allowed"):
        spool.write(b"x" * 11)

    assert open_files() == before


def test_objects_of_one_retrieve_share_its_allowance() -> None:
    allowance = Allowance(100)
    Spool(allowance=allowance).write(b"x" * 60)

    with pytest.raises(TooManyBytes, match="a retrieve brought more bytes"):
        Spool(allowance=allowance).write(b"x" * 41)
    with pytest.raises(TooManyBytes):
        Spool(allowance=allowance).write(b"x")


def test_a_full_tmpfs_keeps_nothing_and_takes_objects_again_when_freed(small_folder: Path) -> None:
    before = open_files()
    folder = memory_folder(small_folder)
    first = Spool(in_memory=10, folder=folder)
    first.write(b"x" * (900 << 10))

    with pytest.raises(OutOfSpace, match="no space is left"):
        first.write(b"y" * (900 << 10))
    second = Spool(in_memory=10, folder=folder)
    second.write(b"z" * (900 << 10))

    content = second.content()
    assert content[-1:] == b"z"
    assert isinstance(content, mmap.mmap)
    content.close()
    assert open_files() == before


def test_a_process_without_file_descriptors_left_keeps_nothing() -> None:
    before, limits = open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OutOfSpace):
            Spool(in_memory=0).write(b"x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert open_files() == before


def test_a_folder_on_a_disk_is_refused() -> None:
    with pytest.raises(Misconfigured, match="identified bytes would reach a disk"):
        memory_folder(Path("/usr"))


def test_a_folder_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="absent or not writable"):
        memory_folder(tmp_path / "nowhere")


def test_a_folder_on_tmpfs_is_taken() -> None:
    assert memory_folder(SHARED_MEMORY) == SHARED_MEMORY
