"""Text drawn into pixels, and the pixels around it that have to stay."""

import io
import warnings
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from phi.folding import spelt_out
from phi.key import Act
from phi.planting.lettering import can_draw, letters
from phi.planting.plot import Plot

_LEAST: Final = 256
_MODALITIES: Final = ("US", "OT", "CR", "DX", "MG", "XA", "RF", "OP", "NM", "")
_WRITABLE: Final = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_COLOURS: Final = ((255, 255, 255), (255, 255, 0), (0, 255, 255), (60, 255, 60), (255, 160, 0), (255, 60, 60))
_EDGE: Final = 6

Pixels = npt.NDArray[Any]


def plant_pixels(plot: Plot) -> None:
    """Draw the person into pictures of kinds that carry text; of every picture the rest has to stay."""
    if not plot.is_image:
        return
    if _is_host(plot):
        pixels = _decoded(plot)
        if pixels is not None:
            _draw_all(plot, pixels)
            _write(plot, pixels)
    plot.expect("pixels", Act.PIXELS_RETAINED, "pixels")


def _is_host(plot: Plot) -> bool:
    dataset = plot.dataset
    secondary = "SECONDARY" in list(dataset.get("ImageType") or [])
    size = min(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0))
    return (
        size >= _LEAST
        and (str(dataset.get("Modality") or "") in _MODALITIES or secondary)
        and dataset.get("PhotometricInterpretation") in _WRITABLE
        and int(dataset.BitsAllocated) in (8, 16)
        and not dataset.file_meta.TransferSyntaxUID.is_implicit_VR
    )


def _decoded(plot: Plot) -> Pixels | None:
    """Return the frames (frame, row, column[, colour]), or None where nothing here decodes them."""
    dataset = plot.dataset
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = np.array(dataset.pixel_array)
    except (RuntimeError, ValueError, NotImplementedError, AttributeError, OSError):
        return None
    frames = int(dataset.get("NumberOfFrames") or 1)
    return pixels if frames > 1 else pixels[None]


def _draw_all(plot: Plot, pixels: Pixels) -> None:
    frames, rows, columns = pixels.shape[:3]
    frame = plot.rng.choice((0, frames - 1))
    top = plot.rng.randint(_EDGE, rows // 8)
    for text in _texts(plot):
        height = int(plot.rng.randint(14, 26) * min(3.0, max(1.0, rows / 700)))
        drawn = letters(text, height)
        while drawn.shape[1] > columns - 2 * _EDGE and height > 8:
            height -= 1
            drawn = letters(text, height)
        if drawn.shape[1] > columns - 2 * _EDGE:
            continue
        if plot.rng.random() < 0.3:
            top = plot.rng.randint(rows // 3, rows // 2)
        left = plot.rng.randint(_EDGE, columns - _EDGE - drawn.shape[1])
        if top + drawn.shape[0] >= rows - _EDGE:
            break
        _draw(plot, pixels[frame], drawn, left, top)
        bottom, right = top + drawn.shape[0], left + drawn.shape[1]
        plot.expect(
            "pixels", Act.PIXELS_HIDDEN, _category(plot), text, box=(frame, left, top, right, bottom, height)
        )
        top = bottom + plot.rng.randint(8, 30)
    chance = plot.rng.random()
    if chance < 0.6:
        plot.dataset.BurnedInAnnotation = "YES" if chance < 0.3 else "NO"
    elif "BurnedInAnnotation" in plot.dataset:
        del plot.dataset.BurnedInAnnotation


def _category(plot: Plot) -> str:
    return f"burned-in {plot.dataset.get('Modality') or 'SC'}"


def _texts(plot: Plot) -> list[str]:
    person = plot.person
    name = person.alphabetic.replace("^", ", ")
    if not can_draw(name):
        name = spelt_out(name) if spelt_out(name).isascii() else person.email
    texts = [
        name,
        f"{name} {person.born:%d.%m.%Y}",
        f"ID: {person.patient_id}",
        f"{person.born:%d.%m.%Y}",
        f"{plot.day:%d.%m.%Y} {person.patient_id}",
        spelt_out(name).upper(),
    ]
    return plot.rng.sample(texts, plot.rng.randint(1, 3))


def _draw(plot: Plot, frame: Pixels, drawn: npt.NDArray[np.uint8], left: int, top: int) -> None:
    """Draw white, coloured or black letters, whichever stand out from what is there."""
    box = frame[top : top + drawn.shape[0], left : left + drawn.shape[1]]
    mask = drawn > 127
    if frame.ndim == 3:
        box[mask] = plot.rng.choice(_COLOURS) if box.mean() < 128 else (0, 0, 0)
        return
    low, high = int(frame.min()), int(frame.max())
    if high - low < 64:
        high = (1 << int(plot.dataset.BitsStored)) - 1
    box[mask] = high if box.mean() < (low + high) / 2 else low


def _write(plot: Plot, pixels: Pixels) -> None:
    """Encode the frames natively, run-length, JPEG 2000 lossless or, sometimes, as baseline JPEG."""
    dataset = plot.dataset
    is_colour = pixels.ndim == 4
    if is_colour:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    is_signed = bool(dataset.PixelRepresentation)
    choices = ["native", "native", "rle"] + ([] if is_signed else ["jpeg2000"])
    if pixels.dtype == np.uint8 and plot.rng.random() < 0.3:
        choices = ["jpeg"]
    way = plot.rng.choice(choices)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)
    data = pixels.tobytes()
    if (
        dataset.file_meta.TransferSyntaxUID.is_compressed
        or not dataset.file_meta.TransferSyntaxUID.is_little_endian
    ):
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = False
    if way == "native":
        return
    if way == "rle":
        dataset.compress(RLELossless, generate_instance_uid=False)
        return
    frames = [_compressed(frame, lossless=way == "jpeg2000") for frame in pixels]
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if way == "jpeg2000" else JPEGBaseline8Bit
    if way == "jpeg":
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod, dataset.LossyImageCompressionRatio = "ISO_10918_1", 10
    if is_colour:
        dataset.PhotometricInterpretation = "YBR_RCT" if way == "jpeg2000" else "YBR_FULL_422"


def _compressed(frame: Pixels, *, lossless: bool) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(frame))
    if lossless:
        image.save(out, "JPEG2000", irreversible=False, no_jp2=True, mct=1 if frame.ndim == 3 else 0)
    else:
        image.save(out, "JPEG", quality=92, subsampling=1)
    return out.getvalue()
