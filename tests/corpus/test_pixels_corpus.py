import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread, dcmwrite

from p2d.deid.pixels.decision import Verdict, decide
from p2d.deid.pixels.gate import PixelScreen, Screened
from p2d.deid.pixels.layouts import DeviceKey
from p2d.dicom.elements import elements_of
from p2d.model.released import Reason
from p2d.pixels.protocol import Task, Unscreenable
from p2d.pixels.screening import ScreeningSandbox

PYDICOM = "files/pydicom__pydicom/src/pydicom/data/test_files/"
STORE = "files/pydicom__pydicom-data/data_store/data/"


@pytest.fixture(scope="module")
def screen() -> Iterator[PixelScreen]:
    with PixelScreen(sandbox=ScreeningSandbox(children=1)) as running:
        yield running


def screened(screen: PixelScreen, content: bytes, *, sample: bool = False) -> Screened | Reason:
    dataset = dcmread(io.BytesIO(content))
    elements = elements_of(dataset, guess=True)
    decision = decide(
        elements, str(dataset.SOPClassUID), str(dataset.Modality), has_pixels=True, sample=sample
    )
    assert decision.verdict is Verdict.SCREEN
    return screen.screen(content, decision, DeviceKey.of(elements))


@pytest.mark.parametrize(
    ("name", "banner"),
    [
        ("files/dcm4che__dcm4che/dcm4che-test-data/src/main/resources/YBR_FULL-RLE.dcm", (2, 34, 26, 290)),
        (PYDICOM + "examples_palette.dcm", (0, 24, 0, 400)),
        (STORE + "US1_UNCR.dcm", (20, 44, 16, 170)),
    ],
)
def test_real_banners_go_and_the_rest_stays(
    corpus: Path, screen: PixelScreen, name: str, banner: tuple[int, int, int, int]
) -> None:
    content = (corpus / name).read_bytes()

    result = screened(screen, content)

    assert isinstance(result, Screened)
    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(result.content))
    changed = (before.pixel_array != after.pixel_array).reshape(before.Rows, before.Columns, -1).any(axis=2)
    hidden = np.zeros_like(changed)
    for box in result.boxes:
        hidden[box.top : box.bottom, box.left : box.right] = True
    top, bottom, left, right = banner
    assert hidden[top:bottom, left:right].mean() > 0.9
    assert not changed[~hidden].any()
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


@pytest.mark.parametrize(("left", "top"), [(1196, 807), (1197, 850), (1212, 800), (1253, 710), (1119, 655)])
def test_a_birth_date_across_vessels_and_the_edge_of_a_bright_disc_goes_whole(
    corpus: Path, screen: PixelScreen, left: int, top: int
) -> None:
    dataset = dcmread(corpus / "files/dcmjs-org__dcmjs/test/sample-op.dcm")
    dataset.decompress()
    image = Image.fromarray(dataset.pixel_array)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(43)
    draw.text((left, top), "04.12.1940", fill=0, font=font)
    dataset.PixelData = image.tobytes()
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)

    result = screened(screen, buffer.getvalue())

    assert isinstance(result, Screened)
    hidden = np.zeros((dataset.Rows, dataset.Columns), bool)
    for box in result.boxes:
        hidden[box.top : box.bottom, box.left : box.right] = True
    x0, y0, x1, y1 = (int(edge) for edge in draw.textbbox((left, top), "04.12.1940", font=font))
    assert hidden[y0:y1, x0:x1].all()


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_truncated.dcm",
    ],
)
def test_clean_slices_keep_their_pixel_bytes(corpus: Path, screen: PixelScreen, name: str) -> None:
    content = (corpus / PYDICOM / name).read_bytes()

    result = screened(screen, content, sample=True)

    assert isinstance(result, Screened)
    assert result.boxes == ()
    assert dcmread(io.BytesIO(result.content)).PixelData == dcmread(io.BytesIO(content)).PixelData


def test_jpeg_xl_is_withheld(corpus: Path, screen: PixelScreen) -> None:
    content = (
        corpus / "files/dcm4che__dcm4che/dcm4che-test-data/src/main/resources/will-jxl.dcm"
    ).read_bytes()

    assert screened(screen, content) is Reason.TRANSFER_SYNTAX


def test_malformed_files_cost_one_object_each(corpus: Path) -> None:
    names = [entry["file"] for entry in json.loads((corpus / "manifest.json").read_text())]
    hostile = [name for name in names if "pwnlabmx__" in name]
    outcomes = []
    with ScreeningSandbox(children=1, memory_bytes=1 << 30, cpu_seconds=20, deadline_seconds=30) as sandbox:
        for name in hostile:
            try:
                sandbox.screen((corpus / name).read_bytes(), Task(effort="layout"))
                outcomes.append("screened")
            except Unscreenable as refusal:
                outcomes.append(refusal.code)
        good = (corpus / PYDICOM / "CT_small.dcm").read_bytes()
        assert not sandbox.screen(good, Task(effort="layout")).is_masked

    assert len(outcomes) == len(hostile) == 108
