"""What the Image Pixel Module says about stored samples (PS3.3 C.7.6.3), checked before allocation."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydicom import Dataset

from p2d.pixels.protocol import Unscreenable

Samples = NDArray[Any]

MAX_PIXEL_BYTES: Final = 1 << 30
_PHOTOMETRIC: Final = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_420": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
_BITS: Final = (1, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Raster:
    """Shape and sample form of one object's pixels."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    is_planar: bool
    photometric: str
    is_float: bool = False

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the form *dataset* declares.

        Raises:
            Unscreenable: ``no-pixels``, ``damaged`` or ``too-large``.

        """
        keyword = next((name for name in PIXEL_KEYWORDS if name in dataset), None)
        if keyword is None:
            raise Unscreenable("no-pixels")
        bits = _int(dataset, "BitsAllocated")
        raster = cls(
            rows=_int(dataset, "Rows"),
            columns=_int(dataset, "Columns"),
            frames=max(1, _int(dataset, "NumberOfFrames", 1)),
            samples=_int(dataset, "SamplesPerPixel", 1),
            bits_allocated=bits,
            bits_stored=_int(dataset, "BitsStored", bits),
            is_signed=_int(dataset, "PixelRepresentation", 0) == 1,
            is_planar=_int(dataset, "PlanarConfiguration", 0) == 1,
            photometric=str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip().upper(),
            is_float=keyword != "PixelData",
        )
        raster.guard()
        return raster

    def guard(self) -> None:
        """Refuse what is no picture or larger than the limit.

        Raises:
            Unscreenable: ``damaged`` or ``too-large``.

        """
        is_sound = (
            min(self.rows, self.columns) > 0
            and _PHOTOMETRIC.get(self.photometric) == self.samples
            and self.bits_allocated in _BITS
            and 1 <= self.bits_stored <= self.bits_allocated
        )
        if not is_sound:
            raise Unscreenable("damaged")
        if self.frame_values * self.frames * max(1, self.bits_allocated // 8) > MAX_PIXEL_BYTES:
            raise Unscreenable("too-large")

    @property
    def frame_values(self) -> int:
        """Samples of one frame, without subsampling."""
        return self.rows * self.columns * self.samples

    @property
    def dtype(self) -> DTypeLike:
        """Little endian form of one sample; single bits are unpacked to bytes."""
        if self.is_float:
            return np.dtype(f"<f{self.bits_allocated // 8}")
        return np.dtype(f"<{'i' if self.is_signed else 'u'}{max(1, self.bits_allocated // 8)}")


PIXEL_KEYWORDS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def _int(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value = dataset.get(keyword)
    if value in {None, ""} and default is not None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError, ArithmeticError):
        raise Unscreenable("damaged") from None
