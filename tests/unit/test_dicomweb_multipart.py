"""Bodies of WADO-RS split into parts, however they arrive and whatever they hold."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2d.pacs.dicomweb.multipart import NotMultipart, PartSplitter, boundary_of

BOUNDARY = b"p2d"
PARTS = st.lists(
    st.lists(st.sampled_from([b"\r\n", b"--", b"p2", b"d", b"\r\n--p2", b"\0", b"x"]), max_size=8).map(
        b"".join
    ),
    min_size=1,
    max_size=4,
).filter(lambda parts: not any(b"\r\n--p2d" in b"\r\n" + part for part in parts))


def body(parts: list[bytes]) -> bytes:
    heads = [
        b"--p2d\r\nContent-Type: application/dicom\r\nContent-Length: 1\r\n\r\n" + part for part in parts
    ]
    return b"\r\n".join(heads) + b"\r\n--p2d--\r\nepilogue"


def chunks(content: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[a:b] for a, b in pairwise(places)]


def split(arriving: list[bytes]) -> tuple[list[bytes], bool]:
    splitter = PartSplitter(BOUNDARY)
    parts, current = [], bytearray()
    for chunk in arriving:
        for piece in splitter.feed(chunk):
            if piece is None:
                parts.append(bytes(current))
                current.clear()
            else:
                current += piece
    return parts, splitter.is_over


@given(PARTS, st.lists(st.integers(0, 500), max_size=12))
@example([b"\r\n--p2", b""], [])
def test_parts_are_the_same_however_the_body_is_cut_into_chunks(parts: list[bytes], cuts: list[int]) -> None:
    assert split(chunks(body(parts), cuts)) == (parts, True)


@given(PARTS, st.integers(1, 400))
def test_a_body_that_ends_too_early_is_never_over(parts: list[bytes], short: int) -> None:
    whole = body(parts).removesuffix(b"\r\nepilogue")
    found, is_over = split([whole[: max(len(whole) - short, 0)]])

    assert not is_over or found == parts
    assert found == parts[: len(found)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
@example(b"--p2d--", [])
@example(b"--p2d\r\n\r\n\r\n--p2d--", [])
@example(b"--p2dx\r\n\r\n", [])
def test_hostile_bytes_are_parts_or_refused(content: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(NotMultipart):
        split(chunks(content, cuts))


def test_nothing_but_a_delimiter_is_held_back() -> None:
    splitter = PartSplitter(BOUNDARY)
    list(splitter.feed(b"--p2d\r\n\r\n"))

    passed = sum(len(piece or b"") for _ in range(100) for piece in splitter.feed(b"x" * 1000))

    assert passed == 100 * 1000 - len(b"\r\n--p2d") + 1


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 70_000,
        b"--p2d\r\n" + b"a: b\r\n" * 4000,
        b"--p2d and more\r\n\r\n",
        b"--p2d" + b" " * 20_000,
        b"--p2d\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        b"--p2d\r\nContent-Encoding: gzip\r\n\r\n",
    ],
    ids=["no delimiter", "headers without end", "text", "blanks without end", "base64", "gzip"],
)
def test_what_is_no_multipart_body_is_refused(content: bytes) -> None:
    with pytest.raises(NotMultipart):
        split([content])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=a-b', b"a-b"),
        ('Multipart/Related; boundary="a b?"; type="application/dicom"', b"a b?"),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/dicom",
        "multipart/related",
        "multipart/mixed; boundary=a",
        f"multipart/related; boundary={'a' * 71}",
        'multipart/related; boundary=""',
        'multipart/related; boundary="a\\"b"',
        "multipart/related; boundary=ä",
        'multipart/related; boundary="a "',
    ],
)
def test_a_content_type_without_a_lawful_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(NotMultipart):
        boundary_of(content_type)


@given(st.text(max_size=60))
@example("multipart/related; boundary*=utf-8''%00")
def test_any_content_type_has_a_boundary_or_is_refused(content_type: str) -> None:
    with contextlib.suppress(NotMultipart):
        boundary_of(f"multipart/related; boundary={content_type}")
