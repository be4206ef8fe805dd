import io
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from p2d.deid.pixels.decision import Decision, Verdict
from p2d.deid.pixels.gate import PixelScreen, Screened
from p2d.deid.pixels.layouts import DeviceKey, Layouts
from p2d.model.released import Reason
from p2d.pixels.box import Box
from p2d.pixels.protocol import Task, Unscreenable
from p2d.pixels.screening import ScreeningSandbox

DEVICE = DeviceKey("Maker", "Model", "1.0", "128", "256", "RGB", "")
LOOK = Decision(Verdict.SCREEN, alarm=True)
TEXT = Box(22, 32, 140, 48)
"""Where the drawn text is."""

Picture = NDArray[np.uint8]


def picture(text: str = "DOE, JOHN 1951") -> Picture:
    """Return soft grey noise with *text* in white, as RGB."""
    noise = np.random.default_rng(7).integers(20, 90, (16, 24), dtype=np.uint8)
    image = Image.fromarray(noise).resize((192, 128), Image.Resampling.BICUBIC).convert("RGB")
    ImageDraw.Draw(image).text((22, 32), text, fill=(255, 255, 255), font=ImageFont.load_default(16))
    return np.asarray(image)


def plain() -> Picture:
    return picture("")


def instance(samples: NDArray[np.integer], photometric: str, syntax: UID, *, frames: int = 1) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("2.25.1")
    dataset.Rows, dataset.Columns = 128, 192
    dataset.SamplesPerPixel = 3 if photometric.startswith(("RGB", "YBR")) else 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = samples.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    is_big = syntax == ExplicitVRBigEndian
    dataset.PixelData = (samples.byteswap() if is_big else samples).tobytes()
    dataset["PixelData"].VR = "OB" if samples.dtype.itemsize == 1 else "OW"
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def encoded(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    syntax = dataset.file_meta.TransferSyntaxUID
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return buffer.getvalue()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG", quality=90, subsampling=1)
    dataset = instance(picture(), "RGB", ExplicitVRLittleEndian)
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.LossyImageCompression = "01"
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return encoded(dataset)


@pytest.fixture(scope="module")
def screen() -> Iterator[PixelScreen]:
    with PixelScreen(sandbox=ScreeningSandbox(children=1)) as running:
        yield running


def screened(screen: PixelScreen, content: bytes, decision: Decision = LOOK) -> Screened:
    result = screen.screen(content, decision, DEVICE)
    assert isinstance(result, Screened)
    return result


def mask_of(boxes: tuple[Box, ...]) -> NDArray[np.bool_]:
    mask = np.zeros((128, 192), bool)
    for box in boxes:
        mask[box.top : box.bottom, box.left : box.right] = True
    return mask


@pytest.mark.parametrize(
    ("syntax", "photometric"),
    [
        (ExplicitVRLittleEndian, "RGB"),
        (ExplicitVRLittleEndian, "YBR_FULL"),
        (ImplicitVRLittleEndian, "MONOCHROME2"),
        (ExplicitVRBigEndian, "MONOCHROME1"),
        (DeflatedExplicitVRLittleEndian, "RGB"),
        (RLELossless, "RGB"),
        (RLELossless, "MONOCHROME2"),
        (JPEGLSLossless, "RGB"),
        (JPEGLSLossless, "MONOCHROME2"),
        (JPEG2000Lossless, "RGB"),
        (JPEG2000Lossless, "MONOCHROME2"),
    ],
)
def test_text_goes_and_every_other_pixel_stays_in_the_same_syntax(
    screen: PixelScreen, syntax: UID, photometric: str
) -> None:
    colour = picture()
    wide = colour[..., 0].astype(np.uint16) * 200
    samples: NDArray[np.integer] = colour if photometric in {"RGB", "YBR_FULL"} else wide
    content = encoded(instance(samples, photometric, syntax))

    result = screened(screen, content)

    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(result.content))
    hidden = mask_of(result.boxes)
    assert result.is_masked
    assert hidden[TEXT.top : TEXT.bottom, TEXT.left : TEXT.right].mean() > 0.95
    assert result.transfer_syntax_uid == after.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(before.pixel_array[~hidden], after.pixel_array[~hidden])
    assert not np.array_equal(before.pixel_array[hidden], after.pixel_array[hidden])
    assert after.PhotometricInterpretation == before.PhotometricInterpretation


def test_lossy_jpeg_comes_back_native_with_the_values_a_reader_saw(screen: PixelScreen) -> None:
    content = jpeg()

    result = screened(screen, content)

    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(result.content))
    hidden = mask_of(result.boxes)
    assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert after.PhotometricInterpretation == "RGB"
    assert after.LossyImageCompression == "01"
    assert np.array_equal(before.pixel_array[~hidden], after.pixel_array[~hidden])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian])
def test_an_object_without_text_keeps_its_pixel_bytes(screen: PixelScreen, syntax: UID) -> None:
    content = encoded(instance(plain(), "RGB", syntax))

    result = screened(screen, content)

    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(result.content))
    assert (result.is_masked, result.boxes) == (False, ())
    assert after.PixelData == before.PixelData
    assert after.BurnedInAnnotation == "NO"


def test_text_of_the_last_frame_goes_from_all(screen: PixelScreen) -> None:
    frames = np.stack([plain(), plain(), plain(), picture()])
    content = encoded(instance(frames, "RGB", ExplicitVRLittleEndian, frames=4))

    result = screened(screen, content)

    after = dcmread(io.BytesIO(result.content)).pixel_array
    assert result.looked_at == (0, 2, 3)
    assert not after[:, TEXT.top + 2 : TEXT.bottom - 2, TEXT.left + 4 : TEXT.right - 20].any()


def test_only_the_inside_of_regions_is_kept(screen: PixelScreen) -> None:
    content = encoded(instance(plain(), "RGB", ExplicitVRLittleEndian))
    region = Box(40, 60, 150, 120)

    result = screened(screen, content, Decision(Verdict.SCREEN, regions=(region,)))

    after = dcmread(io.BytesIO(result.content)).pixel_array
    kept = mask_of((region,))
    assert np.array_equal(after[kept], plain()[kept])
    assert not after[~kept].any()


def test_the_object_says_what_was_done(screen: PixelScreen) -> None:
    dataset = instance(picture(), "RGB", ExplicitVRLittleEndian)
    dataset.DerivationDescription = "mirrored"
    dataset.IconImageSequence = [instance(picture(), "RGB", ExplicitVRLittleEndian)]
    dataset.PatientComments = "stays"

    after = dcmread(io.BytesIO(screened(screen, encoded(dataset)).content))

    assert after.BurnedInAnnotation == "NO"
    assert [item.CodeValue for item in after.DeidentificationMethodCodeSequence] == ["113101"]
    assert after.DerivationDescription == "mirrored"
    assert after.DeidentificationMethod == "P2D: burned-in text masked"
    assert "IconImageSequence" not in after
    assert after.PatientComments == "stays"


def test_overlay_bits_are_cleared(screen: PixelScreen) -> None:
    samples = (plain()[..., 0].astype(np.uint16) << 2) | (picture()[..., 1].astype(np.uint16) // 255 << 12)
    dataset = instance(samples, "MONOCHROME2", ExplicitVRLittleEndian)
    dataset.BitsStored, dataset.HighBit = 12, 11

    result = screened(screen, encoded(dataset), Decision(Verdict.SCREEN, overlay_bits=(12,)))

    stored = np.frombuffer(dcmread(io.BytesIO(result.content)).PixelData, "<u2")
    assert result.is_masked
    assert not (stored >> 12).any()


def test_screening_its_own_output_changes_nothing(screen: PixelScreen) -> None:
    once = screened(screen, encoded(instance(picture(), "RGB", ExplicitVRLittleEndian)))

    again = screened(screen, once.content)

    assert not again.is_masked
    assert again.content == once.content


def test_announced_text_that_is_not_found_withholds_the_object(screen: PixelScreen) -> None:
    content = encoded(instance(plain(), "RGB", ExplicitVRLittleEndian))

    assert screen.screen(content, Decision(Verdict.SCREEN, Reason.BURNED_IN), DEVICE) is Reason.BURNED_IN


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        ("1.2.840.10008.1.2.4.102", Reason.TRANSFER_SYNTAX),
        ("1.2.840.10008.1.2.4.90", Reason.RENDERING),
    ],
)
def test_pixels_that_cannot_be_seen_withhold_the_object(
    screen: PixelScreen, syntax: str, reason: Reason
) -> None:
    dataset = instance(plain(), "RGB", ExplicitVRLittleEndian)
    dataset.PixelData = encapsulate([b"no image"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(syntax)

    assert screen.screen(encoded(dataset), LOOK, DEVICE) is reason


def bomb(size: int) -> bytes:
    dataset = instance(plain(), "RGB", DeflatedExplicitVRLittleEndian)
    whole = encoded(dataset)
    meta_end = 144 + int.from_bytes(whole[140:144], "little")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    mebibyte = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return whole[:meta_end] + mebibyte * (size >> 20) + deflater.flush()


def test_a_bomb_costs_one_object() -> None:
    with ScreeningSandbox(children=1, memory_bytes=1 << 30) as sandbox:
        with pytest.raises(Unscreenable):
            sandbox.screen(bomb(2 << 30), Task())

        content = encoded(instance(picture(), "RGB", ExplicitVRLittleEndian))
        assert sandbox.screen(content, Task()).is_masked


def test_a_late_child_is_a_limit_met() -> None:
    with (
        ScreeningSandbox(children=1, deadline_seconds=0.01) as hurried,
        pytest.raises(Unscreenable) as refusal,
    ):
        hurried.screen(encoded(instance(plain(), "RGB", ExplicitVRLittleEndian)), Task())

    assert refusal.value.code == "limit"


def test_known_layouts_are_masked_besides_what_is_found() -> None:
    corner = Box(150, 100, 192, 128)
    with PixelScreen(sandbox=ScreeningSandbox(children=1), layouts=Layouts({DEVICE: (corner,)})) as knowing:
        result = screened(knowing, encoded(instance(picture(), "RGB", ExplicitVRLittleEndian)))

    hidden = mask_of(result.boxes)
    assert hidden[corner.top : corner.bottom, corner.left : corner.right].all()
    assert hidden[TEXT.top : TEXT.bottom, TEXT.left : TEXT.right].mean() > 0.95


def test_without_the_extra_what_may_show_text_is_withheld_and_a_sample_passes() -> None:
    content = encoded(instance(picture(), "RGB", ExplicitVRLittleEndian))
    with PixelScreen(installed=False) as blind:
        assert blind.screen(content, Decision(Verdict.SCREEN), DEVICE) is Reason.DETECTOR_MISSING
        unseen = blind.screen(content, Decision(Verdict.SCREEN, alarm=True), DEVICE)

    assert isinstance(unseen, Screened)
    assert (unseen.content, unseen.looked_at) == (content, ())
    assert unseen.transfer_syntax_uid == ExplicitVRLittleEndian
