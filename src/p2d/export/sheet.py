"""Contact sheets: the images of one series, small, on one JPEG, with what was masked outlined in red."""

import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from PIL import Image, ImageDraw

from p2d.export.held import Picture

MOST: Final = 24
WIDTH: Final = 240
_ACROSS: Final = 6
_CAPTION: Final = 16
_GAP: Final = 4
_GREY: Final = (40, 40, 40)
_RED: Final = (255, 40, 40)
_WHITE: Final = (230, 230, 230)


@dataclass(frozen=True, slots=True)
class Thumb:
    """One small image, or None where it could not be drawn; *number* and *frame* count from 1."""

    number: int
    frame: int
    picture: Picture
    jpeg: bytes | None = field(repr=False)


def chosen(pictures: Sequence[Picture], most: int = MOST) -> list[tuple[int, int]]:
    """Return up to *most* (image, frame) of a series, from 0: first, last and evenly between; masked first.

    Half of the places go to masked images, if there are so many: these are what a reviewer has to see.
    """
    frames = [(image, frame) for image, one in enumerate(pictures) for frame in range(max(one.frames, 1))]
    masked = [(image, frame) for image, frame in frames if pictures[image].boxes]
    picked = set(_spread(masked, most // 2))
    others = [one for one in frames if one not in picked]
    picked.update(_spread(others, most - len(picked)))
    return sorted(picked)


def contact_sheet(title: str, thumbs: Iterable[Thumb]) -> bytes:
    """Return the thumbs in rows of six below *title* as JPEG, each with its number and frame."""
    tiles = [_tile(thumb) for thumb in thumbs]
    tall = max((tile.height for tile in tiles), default=WIDTH)
    lines = max((len(tiles) + _ACROSS - 1) // _ACROSS, 1)
    size = (_ACROSS * (WIDTH + _GAP) + _GAP, _CAPTION + lines * (tall + _GAP) + _GAP)
    sheet = Image.new("RGB", size, (0, 0, 0))
    ImageDraw.Draw(sheet).text((_GAP, 2), title, fill=_WHITE)
    for place, tile in enumerate(tiles):
        line, column = divmod(place, _ACROSS)
        sheet.paste(tile, (_GAP + column * (WIDTH + _GAP), _CAPTION + _GAP + line * (tall + _GAP)))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    return out.getvalue()


def _spread(items: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    if len(items) <= most:
        return list(items)
    return [items[place * (len(items) - 1) // (most - 1)] for place in range(most)]


def _tile(thumb: Thumb) -> Image.Image:
    drawn = _drawn(thumb)
    tile = Image.new("RGB", (WIDTH, (drawn.height if drawn else WIDTH) + _CAPTION), _GREY)
    if drawn:
        tile.paste(drawn, ((WIDTH - drawn.width) // 2, 0))
    words = f"{thumb.number}" + (f" frame {thumb.frame}" if thumb.picture.frames > 1 else "")
    words += "" if drawn else " cannot be drawn"
    words += f" masked: {len(thumb.picture.boxes)}" if thumb.picture.boxes else ""
    canvas = ImageDraw.Draw(tile)
    canvas.text((2, tile.height - _CAPTION + 2), words, fill=_RED if thumb.picture.boxes else _WHITE)
    if thumb.picture.boxes:
        canvas.rectangle((0, 0, tile.width - 1, tile.height - 1), outline=_RED, width=2)
    return tile


def _drawn(thumb: Thumb) -> Image.Image | None:
    """Return the small image with its boxes; None for no JPEG, or a larger one than Pillow opens."""
    if thumb.jpeg is None:
        return None
    try:
        with (
            warnings.catch_warnings(action="error"),
            Image.open(io.BytesIO(thumb.jpeg), formats=["JPEG"]) as opened,
        ):
            opened.draft("RGB", (WIDTH, WIDTH))
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Warning):
        return None
    image.thumbnail((WIDTH, WIDTH))
    if (times := WIDTH // max(image.size)) > 1:  # a small image is to be seen as well
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    picture = thumb.picture
    if picture.rows and picture.columns:
        across, down = image.width / picture.columns, image.height / picture.rows
        canvas = ImageDraw.Draw(image)
        for left, top, right, bottom in picture.boxes:
            corners = (
                left * across,
                top * down,
                max(right * across - 1, left * across),
                max(bottom * down - 1, top * down),
            )
            canvas.rectangle(corners, outline=_RED)
    return image
