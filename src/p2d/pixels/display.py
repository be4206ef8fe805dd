"""What a frame looks like: pictures of 8-bit RGB for the text detector, in several windows.

Text may be drawn with a value outside the window of the image, or differ from its ground in one colour only;
each picture here makes another kind of it visible. Nothing of this is ever released.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from p2d.pixels.raster import Raster, Samples

Picture = NDArray[np.uint8]
_PERCENTILES: Final = (0.5, 99.5)
_ENDS: Final = 64
"""Part of the range that counts as its end: lossy compression moves the values of letters so far."""
_BETWEEN: Final = 128
_SPECK: Final = 12
"""Connected pixels below which ink is none; the smallest legible letters have more."""
_GREY: Final = 2
"""Dimensions of samples without colours."""
_SIMILAR: Final = 0.6
"""Windows that share more than this of their union show the same."""


def pictures_of(dataset: Dataset, raster: Raster, photometric: str, frame: Samples) -> Iterator[Picture]:
    """Yield pictures of *frame*, rows by columns by 3; the first is what a viewer shows.

    *photometric* says what the samples mean after decoding.
    """
    if photometric == "PALETTE COLOR":
        yield _as_rgb(_eight_bits(apply_color_lut(frame, dataset)[..., :3], 16))
        return
    if raster.samples > 1:
        colour = _eight_bits(frame, raster.bits_stored)
        if photometric.startswith("YBR") and photometric not in {"YBR_ICT", "YBR_RCT"}:
            colour = convert_color_space(colour, "YBR_FULL", "RGB")
        yield _as_rgb(colour)
        stretched = _as_rgb(_strongest(colour))
        if not np.array_equal(stretched, colour):
            yield stretched
        return
    for low, high in _windows(dataset, frame):
        grey = np.clip((frame.astype(np.float32) - low) * (255.0 / max(high - low, 1e-9)), 0, 255)
        grey = np.nan_to_num(grey).astype(np.uint8)
        yield _as_rgb(255 - grey if photometric == "MONOCHROME1" else grey)


def equalised(picture: Picture) -> Picture:
    """Return *picture* in grey with contrast evened out in tiles, for text over bright or dark anatomy."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return _as_rgb(cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(grey))


def ends_of_range(samples: Samples) -> Picture:
    """Return *samples* (rows, columns[, colours]) in three shades: brightest, darkest, and all between.

    Devices draw text in one value at an end of the range. It stays, and the structures it lies over go:
    letters across vessels or the edge of a bright disc are lost to a detector that sees both.
    """
    in_colour = samples.ndim > _GREY
    brightest = samples.max(axis=2) if in_colour else samples
    darkest = samples.min(axis=2) if in_colour else samples
    low, high = float(darkest.min()), float(brightest.max())
    near = (high - low) / _ENDS
    shades = np.full(samples.shape[:2], _BETWEEN, np.uint8)
    shades[_without_specks(darkest <= low + near)] = 0
    shades[_without_specks(brightest >= high - near)] = 255
    return _as_rgb(shades)


def _without_specks(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return *ink* without what lossy compression leaves along edges."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    is_ink: NDArray[np.bool_] = statistics[:, cv2.CC_STAT_AREA] >= _SPECK
    is_ink[0] = False
    kept: NDArray[np.bool_] = is_ink[labels]
    return kept


def stacked(pictures: Sequence[Picture]) -> Picture:
    """Return one picture of three: the first and the last in grey, and the first evened out.

    One look at it finds what separate looks at the three find, nearly.
    """
    first, last = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (pictures[0], pictures[-1]))
    return np.ascontiguousarray(np.stack([first, last, equalised(pictures[0])[..., 0]], axis=2))


def _strongest(colour: Samples) -> Picture:
    """Return how far each pixel's colour is from grey, stretched: red on blue becomes grey on black."""
    spread = colour.max(axis=2).astype(np.int16) - colour.min(axis=2)
    top = int(spread.max())
    if top <= _FAINT:
        brightest: Picture = colour.max(axis=2)
        return brightest
    stretched: Picture = (spread * (255.0 / top)).astype(np.uint8)
    return stretched


_FAINT: Final = 24
"""Differences between the colours of a pixel that compression alone makes."""


def _windows(dataset: Dataset, frame: Samples) -> list[tuple[float, float]]:
    """Return ranges of stored values to show as black to white, the most usual first, no two alike."""
    values = frame.reshape(-1)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0:
        return [(0.0, 1.0)]
    lowest, highest = float(values.min()), float(values.max())
    low, high = (float(edge) for edge in np.percentile(values, _PERCENTILES))
    candidates = [(low, high), (lowest, highest)]
    window = _declared(dataset)
    if window is not None:
        candidates.insert(0, window)
    chosen: list[tuple[float, float]] = []
    for bottom, top in candidates:
        edges = (max(bottom, lowest), min(top, highest))
        if edges[1] > edges[0] and all(_shared(edges, other) < _SIMILAR for other in chosen):
            chosen.append(edges)
    return chosen or [(lowest, max(highest, lowest + 1))]


def _shared(one: tuple[float, float], other: tuple[float, float]) -> float:
    inside = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return inside / max(max(one[1], other[1]) - min(one[0], other[0]), 1e-9)


def _declared(dataset: Dataset) -> tuple[float, float] | None:
    """Return the first window (PS3.3 C.11.2.1.2) in stored values, or None."""
    numbers: list[float] = []
    for keyword, default in (
        ("WindowCenter", None),
        ("WindowWidth", None),
        ("RescaleSlope", 1.0),
        ("RescaleIntercept", 0.0),
    ):
        value: Any = dataset.get(keyword)
        try:
            first = value if value is None or isinstance(value, (int, float, str)) else value[0]
            number = default if first in {None, ""} else float(first)
        except (TypeError, ValueError, IndexError):
            number = default
        if number is None or not np.isfinite(number):
            return None
        numbers.append(number)
    centre, width, slope, intercept = numbers
    if width <= 0 or slope <= 0:
        return None
    return ((centre - width / 2 - intercept) / slope, (centre + width / 2 - intercept) / slope)


def _eight_bits(samples: Samples, bits: int) -> Samples:
    if samples.dtype.itemsize == 1:
        return samples
    return (samples >> max(bits - 8, 0)).clip(0, 255).astype(np.uint8)


def _as_rgb(picture: Samples) -> Picture:
    if picture.ndim == _GREY:
        picture = np.repeat(picture[:, :, np.newaxis], 3, axis=2)
    return np.ascontiguousarray(picture, dtype=np.uint8)
