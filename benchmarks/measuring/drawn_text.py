"""Invented texts drawn into pictures, and the pictures as DICOM objects of several forms."""

import io
import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from p2d.pixels.box import Box

Grey = NDArray[np.uint8]

FORMS: Final = (
    "MONOCHROME2 8", "MONOCHROME2 12", "MONOCHROME2 16", "MONOCHROME1 8", "MONOCHROME1 12", "RGB",
    "RGB planar", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR",
)  # fmt: skip
TEXTS: Final = {
    "German": (
        "MÜLLER, Jürgen",
        "Schäfer^Käthe 03.04.1951",
        "geb. 12.11.1948",
        "Pat.-Nr. 4711-0815",
        "Groß, Uwe",
    ),
    "Turkish": ("YILMAZ, Şükrü", "Özgür ÇELİK", "Doğum 01.02.1963"),
    "Polish": ("Wiśniewska, Łucja", "ŻÓŁTOWSKI Michał", "ur. 1957-08-30"),
    "French": ("Lefèvre François", "née 14/07/1970", "DUPRÉ, Zoé"),
    "Spanish": ("NÚÑEZ, Iñaki", "García Íñigo 22/10/39"),
    "English": (
        "DOE, JOHN",
        "ID 20394857",
        "SMITH ANNA F 54Y",
        "DOB 1968-05-17",
        "Acc# 88213-7",
        "St. Mary Hospital",
    ),
    "Greek": ("ΠΑΠΑΔΟΠΟΥΛΟΣ", "Νίκος Γεωργίου"),
    "Russian": ("ИВАНОВ Пётр", "Смирнова Ольга"),
}
_FACES: Final = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansCondensed.ttf",
)
_COLOURS: Final = (
    (255, 255, 255), (255, 255, 0), (255, 64, 64), (0, 255, 0), (0, 255, 255), (255, 160, 0), (160, 160, 160),
)  # fmt: skip

_INKED: Final = 0.4
_LEGIBLE: Final = 48
"""Levels of 255 by which ink has to differ from its ground almost everywhere."""


@dataclass(frozen=True, slots=True)
class Case:
    """One drawn text: the object's file, where the ink is, and what kind of case it is."""

    content: bytes
    ink: Box
    form: str
    size: int
    language: str
    shade: str


def drawn(background: Grey, form: str, dice: random.Random) -> Case | None:
    """Return a case on *background*, or None where the text does not fit or could not be read by anybody."""
    language = dice.choice(sorted(TEXTS))
    text = dice.choice(TEXTS[language])
    size = dice.randint(8, 40)
    font = _font(dice.choice(_FACES), size)
    left, top, right, bottom = font.getbbox(text)
    width, height = int(right - left) + 1, int(bottom - top) + 1
    rows, columns = background.shape
    if width > columns - 4 or height > rows * 0.12:
        return None
    x, y = _place(columns - width, rows - height, dice)
    ink = Image.new("L", (columns, rows), 0)
    ImageDraw.Draw(ink).text((x - left, y - top), text, fill=255, font=font)
    strength = np.asarray(ink, np.float32)[..., np.newaxis] / 255
    canvas = np.repeat(background[..., np.newaxis], 3, axis=2).astype(np.float32)
    is_colour = form.startswith(("RGB", "YBR", "PALETTE"))
    shade, colour = _shade(canvas[y : y + height, x : x + width], dice, is_colour=is_colour)
    contrast = np.abs(canvas - np.asarray(colour, np.float32)).max(axis=2)[strength[..., 0] > _INKED]
    if float(np.percentile(contrast, 5)) < _LEGIBLE:
        return None
    picture = np.round(canvas * (1 - strength) + np.asarray(colour, np.float32) * strength).astype(np.uint8)
    inked = np.argwhere(strength[..., 0] > _INKED)
    (first_row, first_column), (last_row, last_column) = inked.min(axis=0), inked.max(axis=0)
    box = Box(int(first_column), int(first_row), int(last_column) + 1, int(last_row) + 1)
    return Case(as_file(picture, form, dice), box, form, size, language, shade)


def _font(face: str, size: int) -> Any:
    try:
        return ImageFont.truetype(face, size)
    except OSError:  # Pillow's own face: ASCII letters only
        return ImageFont.load_default(size)


def _place(most_right: int, most_down: int, dice: random.Random) -> tuple[int, int]:
    """Return a corner, an edge or anywhere, as texts stand."""
    across = dice.choice((2, most_right - 2, most_right // 2, dice.randint(0, max(0, most_right))))
    down = dice.choice((2, most_down - 2, 2, most_down - 2, dice.randint(0, max(0, most_down))))
    return max(0, min(across, most_right)), max(0, min(down, most_down))


def _shade(
    ground: NDArray[np.float32], dice: random.Random, *, is_colour: bool
) -> tuple[str, tuple[int, ...]]:
    """Return a name and a colour that can be read on *ground*."""
    if is_colour:
        return "colour", dice.choice(_COLOURS)
    mean = float(ground.mean())
    if mean > 150:
        return "dark", (0, 0, 0)
    return dice.choice((("white", (255, 255, 255)), ("grey", (200, 200, 200))))


def as_file(picture: NDArray[np.uint8], form: str, dice: random.Random) -> bytes:
    """Return *picture*, rows by columns by RGB, as a DICOM file whose samples have *form*."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    uid = UID(f"2.25.{dice.getrandbits(100)}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.Rows, dataset.Columns = picture.shape[:2]
    dataset.PixelRepresentation, dataset.SamplesPerPixel = 0, 1
    _fill(dataset, picture, form)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _fill(dataset: Dataset, picture: NDArray[np.uint8], form: str) -> None:
    dataset.PhotometricInterpretation = (
        form.split(" ", maxsplit=1)[0] if form.startswith(("MONO", "RGB")) else form
    )
    bits = 8
    samples: NDArray[Any]
    if form.startswith("MONOCHROME"):
        bits = int(form.split()[1])
        grey = picture[..., 0].astype(np.uint32)
        # Wide pixels: anatomy in the lower quarter, as CT and MR have it; ink at 255 takes the largest value.
        samples = np.where(grey == 255, (1 << bits) - 1, grey * ((1 << bits) // 1024)) if bits > 8 else grey
        samples = (1 << bits) - 1 - samples if form.startswith("MONOCHROME1") else samples
        samples = samples.astype(np.uint8 if bits == 8 else np.uint16)
    elif form == "PALETTE COLOR":
        samples = _with_palette(dataset, picture)
    else:
        samples = picture if form.startswith("RGB") else convert_color_space(picture, "RGB", "YBR_FULL")
        dataset.SamplesPerPixel = 3
        dataset.PlanarConfiguration = int(form == "RGB planar")
        samples = _arranged(samples, form)
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    content = samples.tobytes()
    dataset.PixelData = content + bytes(len(content) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _arranged(samples: NDArray[np.uint8], form: str) -> NDArray[np.uint8]:
    if form == "RGB planar":
        return np.ascontiguousarray(samples.transpose(2, 0, 1))
    if form == "YBR_FULL_422":
        luma = samples[..., 0].reshape(samples.shape[0], -1, 2)
        return np.concatenate([luma, samples[:, ::2, 1:]], axis=2)
    return samples


def _with_palette(dataset: Dataset, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return indices; the palette holds 248 greys and the colours that are drawn."""
    greys = [(level, level, level) for level in np.linspace(0, 255, 256 - len(_COLOURS)).round().astype(int)]
    colours = np.array([*greys, *_COLOURS], np.uint16)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.astype(np.uint8).tobytes())
    image = Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
    for name, channel in zip(("Red", "Green", "Blue"), (colours * 257).T, strict=True):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", np.ascontiguousarray(channel).tobytes())
    return np.asarray(image, np.uint8)
