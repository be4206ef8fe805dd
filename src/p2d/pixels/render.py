"""Draw one frame of a DICOM image as JPEG: rescale, window, invert, colour (PS3.3 C.7.6.3, C.11.1, C.11.2).

Decodes what pydicom does with numpy and Pillow alone. Input is hostile: production calls this in the child
process of ``p2d.pixels.sandbox`` only.
"""

import io
import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

MAX_PIXEL_BYTES: Final = 512 << 20
_MAX_SIDE: Final = 65_500  # Pillow's own limit for JPEG
_PERCENTILES: Final = (1.0, 99.0)
_COLOUR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")

Pixels = NDArray[Any]


class NotRenderable(Exception):  # noqa: N818 - it says what the image is, no fault of the program
    """The image cannot be drawn; the reason is a fixed text without a value of the file."""


def render_jpeg(
    dataset_bytes: bytes, *, frame: int = 0, quality: int = 90, width: int | None = None
) -> bytes:
    """Return frame *frame* (from 0) of the DICOM file *dataset_bytes* (PS3.10) as JPEG.

    Greyscale uses the first window of the file, without one the 1st to 99th percentile. *width* in pixels
    bounds the width and keeps the proportions. The JPEG carries no metadata.

    Raises:
        NotRenderable: not DICOM, no pixels, too large, no decoder, no such frame, or damaged.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a strange file is not worth a line in a log
        try:
            dataset = dcmread(io.BytesIO(dataset_bytes))
        except Exception as error:
            raise NotRenderable("not a readable DICOM file") from error
        try:
            _guard(dataset, frame)
            return _jpeg(_eight_bits(dataset, frame), quality, width)
        except NotRenderable:
            raise
        except Exception as error:  # pydicom and Pillow raise of every kind on damaged input
            raise NotRenderable("pixel data are damaged or of an unsupported form") from error


def _guard(dataset: Dataset, frame: int) -> None:
    """Refuse before anything is allocated."""
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise NotRenderable("no pixel data")
    frames = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    samples, bits = int(dataset.get("SamplesPerPixel", 1)), int(dataset.BitsAllocated)
    if min(rows, columns, frames, samples, bits) < 1:
        raise NotRenderable("image dimensions are not positive")
    if rows * columns * frames * samples * max(bits // 8, 1) > MAX_PIXEL_BYTES:
        raise NotRenderable("image is larger than the limit")
    if max(rows, columns) > _MAX_SIDE:
        raise NotRenderable("image is larger than JPEG allows")
    if not 0 <= frame < frames:
        raise NotRenderable("no such frame")


def _eight_bits(dataset: Dataset, frame: int) -> NDArray[np.uint8]:
    try:
        pixels: Pixels = pixel_array(dataset, index=frame)
    except RuntimeError as error:
        raise NotRenderable("no decoder for this transfer syntax, or damaged pixel data") from error
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
    if photometric.startswith("MONOCHROME"):
        shown = _windowed(dataset, frame, pixels)
        return 255 - shown if photometric == "MONOCHROME1" else shown
    if photometric == "PALETTE COLOR":
        return _high_byte(apply_color_lut(pixels, dataset), 16)
    if photometric in _COLOUR:
        return _high_byte(pixels, int(dataset.BitsStored))
    raise NotRenderable("photometric interpretation not supported")


def _high_byte(pixels: Pixels, bits: int) -> NDArray[np.uint8]:
    """Return colour samples of *bits* significant bits as 8-bit samples."""
    wide = pixels.dtype.itemsize > 1
    return (pixels >> (bits - 8)).astype(np.uint8) if wide and bits > 8 else pixels.astype(np.uint8)  # noqa: PLR2004 - bits of a byte


def _windowed(dataset: Dataset, frame: int, pixels: Pixels) -> NDArray[np.uint8]:
    rescale = _holder(dataset, frame, "PixelValueTransformationSequence", "RescaleSlope")
    values = np.asarray(apply_modality_lut(pixels, rescale), dtype=np.float64)
    share = _voi(values, _holder(dataset, frame, "FrameVOILUTSequence", "WindowCenter"))
    return np.nan_to_num(np.clip(share, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _holder(dataset: Dataset, frame: int, group: str, keyword: str) -> Dataset:
    """Return where *keyword* stands: the data set, or a functional group of this frame (PS3.3 C.7.6.16)."""
    if keyword in dataset:
        return dataset
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for item in [*per_frame[frame : frame + 1], *(dataset.get("SharedFunctionalGroupsSequence") or [])]:
        macro = item.get(group)
        if macro and keyword in macro[0]:
            found: Dataset = macro[0]
            return found
    return dataset


def _voi(values: NDArray[np.float64], holder: Dataset) -> NDArray[np.float64]:
    """Return the share of white, 0 to 1 before clipping (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = _first(holder, "WindowCenter"), _first(holder, "WindowWidth")
    function = str(holder.get("VOILUTFunction") or "LINEAR").strip()
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        low, high = np.nanpercentile(values, _PERCENTILES)
        return (values - low) / (high - low) if high > low else np.full_like(values, 0.5)
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700.0, 700.0)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return (values - (centre - 0.5)) / (width - 1.0) + 0.5


def _first(holder: Dataset, keyword: str) -> float | None:
    value = holder.get(keyword)
    if value is None or value == "":
        return None
    number = float(value if isinstance(value, (int, float, str)) else value[0])
    return number if np.isfinite(number) else None


def _jpeg(pixels: NDArray[np.uint8], quality: int, width: int | None) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if width is not None and 0 < width < image.width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=min(max(quality, 1), 95))
    return out.getvalue()
