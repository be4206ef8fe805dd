"""Compressed pixels: decoded frame by frame, re-encoded without loss where something was masked (PS3.5 A.4).

Class of the transfer syntax and what comes back: RLE stays RLE, JPEG-LS comes back as JPEG-LS Lossless, JPEG
2000 and High-Throughput JPEG 2000 as JPEG 2000 Lossless Only; the JPEG processes of 10918-1, for which no
free lossless encoder is at hand, as Explicit VR Little Endian. Every encoded frame is decoded again and
compared; where a form cannot be encoded (RLE of 32 bits) or comes back different, the object becomes native.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from p2d.pixels.box import Box
from p2d.pixels.protocol import Unscreenable
from p2d.pixels.raster import Raster, Samples

_LOSSLESS: Final = {
    "1.2.840.10008.1.2.5": RLELossless,
    "1.2.840.10008.1.2.4.80": JPEGLSLossless,
    "1.2.840.10008.1.2.4.81": JPEGLSLossless,
    "1.2.840.10008.1.2.4.90": JPEG2000Lossless,
    "1.2.840.10008.1.2.4.91": JPEG2000Lossless,
    "1.2.840.10008.1.2.4.201": JPEG2000Lossless,
    "1.2.840.10008.1.2.4.202": JPEG2000Lossless,
    "1.2.840.10008.1.2.4.203": JPEG2000Lossless,
    "1.2.840.10008.1.2.4.50": ExplicitVRLittleEndian,
    "1.2.840.10008.1.2.4.51": ExplicitVRLittleEndian,
    "1.2.840.10008.1.2.4.57": ExplicitVRLittleEndian,
    "1.2.840.10008.1.2.4.70": ExplicitVRLittleEndian,
}
_TO_RGB: Final = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
"""Lossy JPEG: colours are decoded to RGB once, as every reader does, so that no second rounding follows."""

_TRANSFORMED: Final = ("YBR_RCT", "YBR_ICT")


class EncapsulatedFrames:
    """The frames of a compressed object, decoded when asked for."""

    def __init__(self, dataset: Dataset, raster: Raster, transfer_syntax_uid: str) -> None:
        if transfer_syntax_uid not in _LOSSLESS:
            raise Unscreenable("transfer-syntax")
        decoder = get_decoder(UID(transfer_syntax_uid))
        if not decoder.is_available:
            raise Unscreenable("transfer-syntax")
        self._decoder = decoder
        self._dataset = dataset
        self._raster = raster
        self._syntax = transfer_syntax_uid
        self._photometric = ""
        self._blanked: tuple[tuple[Box, ...], tuple[float, ...]] = ((), ())

    @property
    def photometric(self) -> str:
        """Photometric interpretation of what ``frame`` returns; known after the first frame."""
        return self._photometric

    def frame(self, index: int) -> Samples:
        """Return frame *index* as rows by columns, with samples last where there are several."""
        frame, meta = self._decoder.as_array(self._dataset, index=index, raw=self._syntax not in _TO_RGB)
        return self._checked(frame, meta)

    def _checked(self, frame: Samples, meta: dict[str, Any]) -> Samples:
        self._photometric = str(meta.get("photometric_interpretation", self._raster.photometric))
        shape = (self._raster.rows, self._raster.columns)
        if frame.shape != (shape if self._raster.samples == 1 else (*shape, self._raster.samples)):
            raise Unscreenable("damaged")
        return frame

    def blank(self, boxes: Iterable[Box], shade: Sequence[float]) -> None:
        """Note that *boxes* become *shade* on every frame; ``write`` does it."""
        self._blanked = (tuple(boxes), tuple(shade))

    def write(self, dataset: Dataset) -> str:
        """Put the masked pixels into *dataset* and return their transfer syntax.

        Raises:
            Unscreenable: ``damaged`` where a later frame cannot be decoded.

        """
        target = _LOSSLESS[self._syntax]
        masked = [self._masked(frame, meta) for frame, meta in self._all()]
        encoded = self._encoded(masked, target)
        if encoded is None:
            target = ExplicitVRLittleEndian
            self._put_native(dataset, masked)
        else:
            _put_encapsulated(dataset, encoded)
        self._describe(dataset, masked[0], target)
        return str(target)

    def _all(self) -> Iterable[tuple[Samples, dict[str, Any]]]:
        frames: Iterable[tuple[Samples, dict[str, Any]]] = self._decoder.iter_array(
            self._dataset, raw=self._syntax not in _TO_RGB
        )
        return frames

    def _masked(self, frame: Samples, meta: dict[str, Any]) -> Samples:
        frame = np.array(self._checked(frame, meta), copy=True)
        boxes, shade = self._blanked
        values = np.asarray(shade).astype(frame.dtype)
        for box in boxes:
            frame[box.top : box.bottom, box.left : box.right] = values if frame.ndim > 2 else values[0]  # noqa: PLR2004 - several samples
        return frame

    def _encoded(self, frames: Sequence[Samples], target: UID) -> list[bytes] | None:
        """Return *frames* encoded as *target*, or None where that form does not hold them exactly."""
        if target == ExplicitVRLittleEndian:
            return None
        options = self._options(frames[0], target)
        try:
            encoder, decoder = get_encoder(target), get_decoder(target)
            encoded = [encoder.encode(frame, **options) for frame in frames]
            for frame, code in zip(frames, encoded, strict=True):
                again, _ = decoder.as_array(_one_frame(code), raw=True, **options)
                if not np.array_equal(again, frame):
                    return None
        except Exception:  # noqa: BLE001 - plugins raise of every kind; native holds every form
            return None
        return encoded

    def _options(self, frame: Samples, target: UID) -> dict[str, Any]:
        return {
            "rows": self._raster.rows,
            "columns": self._raster.columns,
            "number_of_frames": 1,
            "samples_per_pixel": self._raster.samples,
            "bits_allocated": frame.dtype.itemsize * 8,
            "bits_stored": min(self._raster.bits_stored, frame.dtype.itemsize * 8),
            "pixel_representation": int(self._raster.is_signed),
            "photometric_interpretation": self._stored_as(target),
            "planar_configuration": 0,
            "pixel_keyword": "PixelData",
        }

    def _stored_as(self, target: UID) -> str:
        """Return the photometric interpretation in the object: JPEG 2000 keeps its colour transform."""
        has_transform = self._raster.photometric in _TRANSFORMED and self._photometric == "RGB"
        return "YBR_RCT" if has_transform and target == JPEG2000Lossless else self._photometric

    def _put_native(self, dataset: Dataset, frames: Sequence[Samples]) -> None:
        content = b"".join(
            frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes() for frame in frames
        )
        dataset.PixelData = content + bytes(len(content) % 2)
        element = dataset["PixelData"]
        element.VR = "OB" if frames[0].dtype.itemsize == 1 else "OW"
        element.is_undefined_length = False

    def _describe(self, dataset: Dataset, frame: Samples, target: UID) -> None:
        dataset.PhotometricInterpretation = self._stored_as(target)
        dataset.BitsAllocated = frame.dtype.itemsize * 8
        if self._raster.samples > 1:
            dataset.PlanarConfiguration = 0
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if target == ExplicitVRLittleEndian and keyword in dataset:
                del dataset[keyword]


def _one_frame(code: bytes) -> bytes:
    return encapsulate([code], has_bot=False)


def _put_encapsulated(dataset: Dataset, encoded: list[bytes]) -> None:
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    if sum(len(code) + 8 for code in encoded) >= 1 << 32:
        table = encapsulate_extended(encoded)
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = table
    else:
        dataset.PixelData = encapsulate(encoded)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
