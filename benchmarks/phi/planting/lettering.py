"""Letters as pixels, with the machine's DejaVu where it is and Pillow's own typeface elsewhere."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Grey = npt.NDArray[np.uint8]
_DEJAVU: Final = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


@cache
def _typeface(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if _DEJAVU.exists():
        return ImageFont.truetype(str(_DEJAVU), height)
    return ImageFont.load_default(height)


def can_draw(text: str) -> bool:
    """Say whether the typeface has the letters: Latin, Greek and Cyrillic with DejaVu, else ASCII."""
    return all(ord(c) < (0x530 if _DEJAVU.exists() else 0x80) for c in text)


def letters(text: str, height: int) -> Grey:
    """Return *text* in white (255) on black, cut to what is drawn; *height* is the type's measure."""
    typeface = _typeface(height)
    left, top, right, bottom = typeface.getbbox(text)
    image = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=typeface)
    return np.asarray(image, dtype=np.uint8)
