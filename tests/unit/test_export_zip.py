import io
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.export.zip import Member, stream_zip
from p2d.model.errors import InvalidRequest, Unavailable

NAMES = st.from_regex(r"[A-Z0-9]{1,9}(/2\.25\.[0-9]{1,9}){0,3}\.dcm", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=8))
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    stream = b"".join(stream_zip(Member(name, content) for name, content in files.items()))

    with zipfile.ZipFile(io.BytesIO(stream)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files


def test_a_member_leaves_before_the_next_is_made() -> None:
    made: list[str] = []

    def members() -> Iterator[Member]:
        for name in ("a", "b"):
            made.append(name)
            yield Member(name, bytes(10))

    stream = stream_zip(members())
    next(stream)

    assert made == ["a"]


def test_chunks_are_small_however_large_a_member() -> None:
    assert max(len(chunk) for chunk in stream_zip([Member("a", bytes(1 << 20))])) <= 1 << 18


def test_an_archive_that_failed_half_way_is_none() -> None:
    def members() -> Iterator[Member]:
        yield Member("a", b"content")
        raise Unavailable("pacs", "went away")

    received: list[bytes] = []
    with pytest.raises(Unavailable):
        received.extend(stream_zip(members()))

    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(received)))


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../a", "a/../b", ".hidden", "a\\b", "Doe^Jane", "a//b", "a\n"]
)
def test_names_are_pseudonyms(name: str) -> None:
    with pytest.raises(InvalidRequest, match="pseudonym"):
        list(stream_zip([Member(name, b"")]))


def test_a_name_comes_once() -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        list(stream_zip([Member("a", b"1"), Member("a", b"2")]))
