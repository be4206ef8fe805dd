"""Pixels from a seed: small phantoms in integer arithmetic, so that they are the same everywhere."""

import unicodedata
from functools import lru_cache
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint16]
_SPELLED_OUT: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe"}
)
_AIR: Final = 24  # stored value of -1000 HU with an intercept of -1024


@lru_cache(maxsize=32)
def _grid(height: int, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return y and x from -1000 to 1000 over an image."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    return (2 * y + 1) * 1000 // height - 1000, (2 * x + 1) * 1000 // width - 1000


def _noise(height: int, width: int, seed: int, depth: int) -> npt.NDArray[np.int64]:
    """Return whole numbers from 0 to *depth* - 1, a hash of place and seed."""
    y, x = _grid(height, width)
    mixed = (x * 73856093) ^ (y * 19349663) ^ (seed * 83492791)
    return cast("npt.NDArray[np.int64]", ((mixed ^ (mixed >> 13)) * 1274126177 >> 9) % depth)


def _ellipse(height: int, width: int, box: tuple[int, int, int, int]) -> npt.NDArray[np.bool_]:
    """Return where the ellipse *box* (centre y, centre x, radius y, radius x in thousandths) is."""
    y, x = _grid(height, width)
    cy, cx, ry, rx = box
    return ((y - cy) * 1000 // ry) ** 2 + ((x - cx) * 1000 // rx) ** 2 <= 1000000


def slice_of_body(height: int, width: int, seed: int, position: int) -> Pixels:
    """Return a CT-like slice: body, two lungs that change with *position*, spine; 12 bits, -1024 HU = 0."""
    lung = 150 + (position * 17 + seed) % 250
    image = np.full((height, width), _AIR, dtype=np.int64)
    image[_ellipse(height, width, (0, 0, 700, 900))] = 1024 + 50
    for side in (-400, 400):
        image[_ellipse(height, width, (-50, side, lung + 120, lung))] = 1024 - 850
    image[_ellipse(height, width, (480, 0, 130, 130))] = 1024 + 700
    return (image + _noise(height, width, seed + position, 24)).astype(np.uint16)


def magnitude(height: int, width: int, seed: int, position: int) -> Pixels:
    """Return an MR-like slice: bright rim, darker inside, 12 bits."""
    image = np.zeros((height, width), dtype=np.int64)
    image[_ellipse(height, width, (0, 0, 850, 700))] = 900
    image[_ellipse(height, width, (0, 0, 760, 610))] = 450 + seed % 100
    image[_ellipse(height, width, (-100, 0, 200 + position * 13 % 200, 120))] = 700
    return (image + _noise(height, width, seed + position, 40)).astype(np.uint16)


def projection(height: int, width: int, seed: int, position: int, bits: int = 12) -> Pixels:
    """Return an X-ray-like image: a gradient with two dark fields, *bits* deep."""
    y, _ = _grid(height, width)
    top = (1 << bits) - 1
    image = top // 2 + y * top // 8000
    for side in (-380, 380):
        image[_ellipse(height, width, (-80, side, 600, 260 + seed % 60))] //= 2
    image = image + _noise(height, width, seed + position, max(2, top // 32))
    return np.clip(image, 0, top).astype(np.uint16)


def activity(height: int, width: int, seed: int, position: int) -> Pixels:
    """Return a PET-like slice: faint body, two hot spots, 15 bits."""
    image = _noise(height, width, seed + position, 60)
    image[_ellipse(height, width, (0, 0, 700, 600))] += 800
    image[_ellipse(height, width, (-200, seed % 300 - 150, 130, 130))] += 9000
    return image.astype(np.uint16)


def sonogram(height: int, width: int, seed: int, position: int, label: str) -> npt.NDArray[np.uint8]:
    """Return an RGB ultrasound sector with *label* burned in at the top left.

    Umlauts are spelled out and accents dropped, as scanners do and the font demands.
    """
    y, x = _grid(height, width)
    sector = (np.abs(x) < (y + 1100) // 2) & (y > -700)
    grey = np.where(sector, _noise(height, width, seed + position, 150) + 20, 0).astype(np.uint8)
    image = Image.fromarray(np.repeat(grey[:, :, np.newaxis], 3, axis=2))
    ImageDraw.Draw(image).text((3, 2), _plain(label), fill=(255, 255, 255), font=_font())
    return np.asarray(image)


def _plain(label: str) -> str:
    decomposed = unicodedata.normalize("NFD", label.translate(_SPELLED_OUT))
    return decomposed.encode("ascii", "ignore").decode()


@lru_cache(maxsize=1)
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=11)
