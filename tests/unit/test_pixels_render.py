import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless

from p2d.pixels.render import NotRenderable, render_jpeg


def image(pixels: object, **changes: object) -> bytes:
    """Return a DICOM file of *pixels* (rows, columns) or (frames, rows, columns), 16 bits, MONOCHROME2."""
    array = np.asarray(pixels)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("2.25.1")
    colour = array.ndim > 2 and array.shape[-1] == 3
    dataset.Rows, dataset.Columns = array.shape[-3:-1] if colour else array.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    elif array.ndim > 2:
        dataset.NumberOfFrames = array.shape[0]
    bits = 8 * array.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(array.dtype.kind == "i")
    dataset.PixelData = array.tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def drawn(content: bytes, *, frame: int = 0, width: int | None = None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render_jpeg(content, frame=frame, width=width))))


def flat(*values: int) -> np.ndarray:
    """Return one 16 by 16 field a value, side by side, so that JPEG keeps their grey."""
    return np.concatenate([np.full((16, 16), value, np.int16) for value in values], axis=1)


def greys(picture: np.ndarray) -> list[int]:
    return [int(picture[8, 8 + 16 * field]) for field in range(picture.shape[1] // 16)]


def test_the_first_window_decides_the_greys() -> None:
    picture = drawn(image(flat(-1000, 40, 1000), WindowCenter=[40, -600], WindowWidth=[400, 1500]))

    black, middle, white = greys(picture)
    assert (black, white) == (0, 255)
    assert abs(middle - 128) <= 1


def test_rescale_comes_before_the_window() -> None:
    picture = drawn(
        image(flat(0, 1024, 2048), RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=0, WindowWidth=200)
    )

    assert greys(picture)[0] == 0
    assert abs(greys(picture)[1] - 128) <= 1


def test_without_a_window_the_percentiles_decide() -> None:
    assert greys(drawn(image(flat(-3, 900)))) == [0, 255]


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_functions_put_the_centre_in_the_middle(function: str) -> None:
    picture = drawn(image(flat(-900, 40, 900), WindowCenter=40, WindowWidth=100, VOILUTFunction=function))

    black, middle, white = greys(picture)
    assert (black, white) == (0, 255)
    assert abs(middle - 128) <= 1


def test_monochrome1_is_inverted() -> None:
    assert greys(drawn(image(flat(0, 100), PhotometricInterpretation="MONOCHROME1"))) == [255, 0]


def test_colour_stays_colour() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200

    picture = drawn(image(red))

    assert picture.shape == (16, 16, 3)
    assert abs(int(picture[8, 8, 0]) - 200) <= 3


def test_a_palette_is_applied() -> None:
    lut = np.array([0, 65535], "<u2").tobytes()
    changes: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        changes[f"{colour}PaletteColorLookupTableDescriptor"] = [2, 0, 16]
        changes[f"{colour}PaletteColorLookupTableData"] = lut if colour == "Red" else bytes(4)

    picture = drawn(image(np.ones((16, 16), np.uint8), **changes))

    assert int(picture[8, 8, 0]) > 250
    assert int(picture[8, 8, 1]) < 5


def test_a_frame_is_chosen_and_its_own_window_used() -> None:
    per_frame = []
    for centre in (0, 500):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = centre, 100
        group.FrameVOILUTSequence = [voi]
        per_frame.append(group)
    content = image(np.stack([flat(-100, 100), flat(400, 600)]), PerFrameFunctionalGroupsSequence=per_frame)

    assert greys(drawn(content, frame=1)) == [0, 255]


def test_width_bounds_the_picture_and_keeps_its_shape() -> None:
    content = image(np.zeros((64, 128), np.int16))

    assert drawn(content, width=32).shape == (16, 32)
    assert drawn(content, width=999).shape == (64, 128)


def test_the_jpeg_carries_no_metadata() -> None:
    picture = Image.open(io.BytesIO(render_jpeg(image(flat(1, 2), PatientName="Canary^Cornelia"))))

    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "readable"),
        (b"no DICOM at all", "readable"),
        (image(flat(1), NumberOfFrames=100_000_000), "limit"),
        (image(flat(1), Rows=0), "positive"),
        (image(flat(1), PixelData=b"\0\0"), "damaged"),
        (image(flat(1), PhotometricInterpretation="HSV"), "photometric"),
        (image(flat(1), BitsAllocated=13), "damaged"),
    ],
)
def test_what_cannot_be_drawn_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(NotRenderable, match=reason):
        render_jpeg(content)


def test_an_undecodable_transfer_syntax_is_not_renderable() -> None:
    with pytest.raises(NotRenderable, match="decoder"):
        render_jpeg(image(flat(1)).replace(b"1.2.840.10008.1.2.1\0", JPEGLSLossless.encode()[:20]))


@pytest.mark.parametrize("frame", [-1, 2])
def test_a_frame_that_does_not_exist_is_not_renderable(frame: int) -> None:
    with pytest.raises(NotRenderable, match="frame"):
        render_jpeg(image(np.zeros((2, 4, 4), np.int16)), frame=frame)


WHOLE = image(flat(-5, 7), WindowCenter=1, WindowWidth=10)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8))
def test_damage_gives_a_picture_or_not_renderable_and_nothing_else(place: int, damage: bytes) -> None:
    content = WHOLE[:place] + damage + WHOLE[place + len(damage) :]

    with contextlib.suppress(NotRenderable):
        assert render_jpeg(content).startswith(b"\xff\xd8")
