"""Contact sheets: which images of a series they show, and what is outlined."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from p2d.export.held import Picture
from p2d.export.sheet import MOST, WIDTH, Thumb, chosen, contact_sheet

MASKED = Picture(rows=100, columns=100, boxes=((50, 0, 100, 50),))


def jpeg(width: int = 100, height: int = 100) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (0, 0, 200)).save(out, "JPEG")
    return out.getvalue()


def is_red(pixel: object) -> bool:
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    return bool(red > 150 and green < 120 and blue < 150)


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=80))
def test_a_sheet_shows_first_and_last_image_and_never_more_than_it_holds(
    images: list[tuple[int, bool]],
) -> None:
    pictures = [Picture(frames, boxes=((0, 0, 1, 1),) if masked else ()) for frames, masked in images]

    shown = chosen(pictures)

    frames = sum(picture.frames for picture in pictures)
    assert len(shown) == len(set(shown)) == min(frames, MOST)
    assert all(0 <= frame < pictures[image].frames for image, frame in shown)
    if not any(picture.boxes for picture in pictures):
        assert {(0, 0), (len(pictures) - 1, pictures[-1].frames - 1)} <= set(shown)


def test_masked_images_are_shown_before_others() -> None:
    pictures = [Picture() for _ in range(500)]
    pictures[333] = MASKED

    assert (333, 0) in chosen(pictures)


def test_what_was_masked_is_outlined() -> None:
    sheet = Image.open(io.BytesIO(contact_sheet("series", [Thumb(1, 1, MASKED, jpeg())])))

    plain = Image.open(io.BytesIO(contact_sheet("series", [Thumb(1, 1, Picture(), jpeg())])))
    assert any(is_red(sheet.getpixel((x, y))) for x in range(WIDTH) for y in range(40, 100))
    assert not any(is_red(plain.getpixel((x, y))) for x in range(WIDTH) for y in range(40, 100))


@pytest.mark.parametrize("content", [None, b"", b"\xff\xd8\xff", jpeg()[:200], b"GIF89a"])
def test_what_cannot_be_drawn_has_its_place_all_the_same(content: bytes | None) -> None:
    sheet = Image.open(io.BytesIO(contact_sheet("series", [Thumb(1, 1, Picture(), content)])))

    assert sheet.width > 6 * WIDTH


def test_an_empty_series_has_a_sheet() -> None:
    assert contact_sheet("series", []).startswith(b"\xff\xd8")
