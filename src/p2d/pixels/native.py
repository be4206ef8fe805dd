"""Native pixels, masked in place: bytes outside the boxes stay as they were (PS3.5 8.1, 8.2)."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from p2d.pixels.box import Box
from p2d.pixels.protocol import Unscreenable
from p2d.pixels.raster import Raster, Samples

_PAIRED: Final = ("YBR_FULL_422", "YBR_PARTIAL_422")
"""Two Y, one Cb, one Cr for two pixels of a row (PS3.3 C.7.6.3.1.2)."""


class NativeFrames:
    """The frames of a native element; reads samples and blanks boxes.

    *content* is the element's value, *is_big* the byte order, *is_swapped* whether bytes of 8-bit samples
    stand in 16-bit words of that order (OW). A short value is completed with zeros for reading only.
    """

    def __init__(self, content: bytes, raster: Raster, *, is_big: bool, is_swapped: bool) -> None:
        self._raster = raster
        self._length = len(content)
        self._is_swapped = is_swapped and raster.bits_allocated == 8  # noqa: PLR2004 - bytes in words
        dtype = np.dtype(raster.dtype)
        self._dtype = dtype.newbyteorder(">") if is_big else dtype
        self._is_paired = raster.photometric in _PAIRED
        whole = raster.frame_values * raster.frames
        if raster.bits_allocated == 1:
            needed = -(-whole // 8)
        else:
            needed = (whole * 2 // 3 if self._is_paired else whole) * self._dtype.itemsize
        if self._is_paired and (raster.is_planar or raster.columns % 2):
            raise Unscreenable("damaged")
        self._buffer = bytearray(content)
        if len(content) < needed:
            self._buffer += bytes(needed - len(content))
        if len(self._buffer) % 2 and self._is_swapped:
            raise Unscreenable("damaged")
        self._values = self._opened(needed)

    def _opened(self, needed: int) -> Samples:
        raw = np.frombuffer(self._buffer, dtype=np.uint8)
        if self._is_swapped:
            raw = raw.reshape(-1, 2)[:, ::-1].reshape(-1)  # a copy; put back by ``value``
        if self._raster.bits_allocated == 1:
            bits = np.unpackbits(raw[:needed], bitorder="little")
            values: Samples = bits[: self._raster.frame_values * self._raster.frames]
        else:
            values = raw[:needed].view(self._dtype)
        self._raw = raw
        return values.reshape(self._raster.frames, *self._shape())

    def _shape(self) -> tuple[int, ...]:
        rows, columns, samples = self._raster.rows, self._raster.columns, self._raster.samples
        if self._is_paired:
            return (rows, columns // 2, 4)
        if samples == 1:
            return (rows, columns)
        return (samples, rows, columns) if self._raster.is_planar else (rows, columns, samples)

    @property
    def photometric(self) -> str:
        """What ``frame`` returns: paired samples come back one for each pixel."""
        return self._raster.photometric.removesuffix("_422") if self._is_paired else self._raster.photometric

    def frame(self, index: int) -> Samples:
        """Return frame *index* as rows by columns, with samples last where there are several."""
        frame: Samples = self._values[index]
        if self._is_paired:
            luma = frame[:, :, :2].reshape(frame.shape[0], -1)
            chroma = np.repeat(frame[:, :, 2:], 2, axis=1)
            return np.concatenate([luma[:, :, np.newaxis], chroma], axis=2)
        return np.moveaxis(frame, 0, 2) if self._raster.is_planar and self._raster.samples > 1 else frame

    def blank(self, boxes: Iterable[Box], shade: Sequence[float]) -> None:
        """Set all samples inside *boxes* to *shade*, one value a sample, on every frame."""
        values = np.asarray(shade).astype(self._dtype)
        for box in boxes:
            rows = slice(box.top, box.bottom)
            if self._is_paired:
                columns = slice(box.left // 2, -(-box.right // 2))
                self._values[:, rows, columns] = values[[0, 0, 1, 2]]
            elif self._raster.samples == 1:
                self._values[:, rows, box.left : box.right] = values[0]
            elif self._raster.is_planar:
                self._values[:, :, rows, box.left : box.right] = values[:, np.newaxis, np.newaxis]
            else:
                self._values[:, rows, box.left : box.right] = values

    def clear_bits(self, bits: Sequence[int]) -> None:
        """Take overlay bits out of the samples: zero, or the sign where samples are signed."""
        if not bits or self._raster.is_float or self._raster.bits_allocated == 1:
            return
        width = self._raster.bits_allocated
        gone = sum(1 << bit for bit in bits if self._raster.bits_stored <= bit < width)
        values = self._values.view(self._dtype.str.replace("i", "u"))
        values &= np.asarray(((1 << width) - 1) ^ gone).astype(values.dtype)
        if self._raster.is_signed:
            sign = (values >> (self._raster.bits_stored - 1)) & 1
            values |= (sign * np.asarray(gone).astype(values.dtype)).astype(values.dtype)

    def value(self) -> bytes:
        """Return the element's value with what was blanked."""
        if self._raster.bits_allocated == 1:
            packed = np.packbits(self._values.reshape(-1), bitorder="little")
            self._raw[: packed.size] = packed
        raw = self._raw.reshape(-1, 2)[:, ::-1].reshape(-1) if self._is_swapped else self._raw
        return raw.tobytes()
