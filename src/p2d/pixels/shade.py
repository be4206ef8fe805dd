"""Which sample values hide text: padding, or what is shown darkest (PS3.3 C.7.5.1.1.2, C.7.6.3.1.2)."""

from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from p2d.pixels.raster import Raster, Samples

_CENTRED: Final = ("YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def shade_of(dataset: Dataset, raster: Raster, photometric: str, frame: Samples) -> tuple[float, ...]:
    """Return one value a sample; *frame* is one of the object's frames as *photometric*.

    Greyscale without a padding value takes the darkest value of the frame, so that the range of values stays.
    """
    if raster.samples > 1:
        return _black(photometric, raster)
    if photometric == "PALETTE COLOR":
        return (_darkest(dataset, raster, frame),)
    padding = _padding(dataset, frame)
    if padding is not None:
        return (padding,)
    values = frame[np.isfinite(frame)] if raster.is_float else frame
    if values.size == 0:
        return (0.0,)
    return (float(values.max() if photometric == "MONOCHROME1" else values.min()),)


def _black(photometric: str, raster: Raster) -> tuple[float, ...]:
    middle = 1 << (raster.bits_stored - 1)
    if photometric.startswith("YBR_PARTIAL"):
        return (middle / 8, middle, middle)
    return (0.0, middle, middle) if photometric in _CENTRED else (0.0,) * raster.samples


def _padding(dataset: Dataset, frame: Samples) -> float | None:
    """Return PixelPaddingValue (0028,0120) where the samples can hold it."""
    if frame.dtype.kind not in "iu":
        return None
    try:
        padding = int(dataset.get("PixelPaddingValue"))
    except (TypeError, ValueError):
        return None
    limits = np.iinfo(frame.dtype)
    return float(padding) if limits.min <= padding <= limits.max else None


def _darkest(dataset: Dataset, raster: Raster, frame: Samples) -> float:
    """Return the index whose colour is darkest, of the first 256 or 65,536 entries."""
    indices = np.arange(1 << min(raster.bits_stored, 16), dtype=frame.dtype)
    try:
        colours = apply_color_lut(indices.reshape(1, -1), dataset)
    except Exception:  # noqa: BLE001 - a palette that cannot be applied cannot be shown either
        return float(frame.min())
    return float(
        indices[int(np.argmin(colours.reshape(-1, colours.shape[-1])[:, :3].sum(axis=1, dtype=np.int64)))]
    )
