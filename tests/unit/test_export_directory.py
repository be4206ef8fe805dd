import csv
import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.export.directory import Exported, ImageDirectory, write_clinical, write_images
from p2d.export.manifest import MANIFEST, WITHHELD, encode, file_line, withheld_line
from p2d.export.names import file_name, is_file_name
from p2d.export.zip import Member, stream_zip
from p2d.model.errors import InvalidRequest, ProtocolViolation, Unavailable
from p2d.model.header import Element
from p2d.model.ids import Pseudonym
from p2d.model.level import Level, Output
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld
from p2d.pixels.render import NotRenderable

PATIENT = Pseudonym("P4X7")


def released(number: int, content: bytes = b"image") -> ReleasedInstance:
    elements = {"00080060": Element("00080060", "CS", ("CT",))}
    header = ReleasedHeader(Level.INSTANCE, PATIENT, "2.25.1", "2.25.2", f"2.25.{number}", elements)
    return ReleasedInstance(header, (content,), "1.2.840.10008.1.2.1")


def withheld(number: int) -> Withheld:
    return Withheld(PATIENT, "2.25.1", "2.25.2", f"2.25.{number}", Reason.BURNED_IN)


class Painter:
    """A renderer that draws the text of a file, except where there is none."""

    def render(self, content: bytes, *, frame: int = 0, quality: int = 90, width: int | None = None) -> bytes:
        if not content:
            raise NotRenderable("no pixel data")
        return b"\xff\xd8" + content


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_files_are_named_by_pseudonyms_and_listed(tmp_path: Path) -> None:
    done = write_images(tmp_path, [released(3), withheld(4)], Output.DICOM)

    assert done == Exported(written=1, kept=0, withheld=1)
    assert (tmp_path / "P4X7/2.25.1/2.25.2/2.25.3.dcm").read_bytes() == b"image"
    (line,) = lines(tmp_path / "manifest.csv")
    assert line["file"] == "P4X7/2.25.1/2.25.2/2.25.3.dcm"
    assert (line["Modality"], line["sha256"]) == ("CT", hashlib.sha256(b"image").hexdigest())
    assert [item["reason"] for item in lines(tmp_path / "withheld.csv")] == ["burned-in text possible"]


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    root = tmp_path / "new"

    write_images(root, [released(3)], Output.DICOM)

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


def test_an_interrupted_export_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def broken() -> Iterator[ReleasedInstance]:
        yield released(3)
        raise Unavailable("pacs", "went away")

    with pytest.raises(Unavailable):
        write_images(tmp_path, broken(), Output.DICOM)
    assert not (tmp_path / "manifest.csv").exists()
    done = write_images(tmp_path, [released(3), released(5)], Output.DICOM)

    assert done == Exported(written=1, kept=1, withheld=0)
    assert len(lines(tmp_path / "manifest.csv")) == 2


def test_what_a_killed_attempt_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "P4X7/2.25.1/2.25.2"
    folder.mkdir(parents=True)
    (folder / ".2.25.3.dcm.part").write_bytes(b"ima")

    write_images(tmp_path, [released(3)], Output.DICOM)

    assert [path.name for path in folder.iterdir()] == ["2.25.3.dcm"]


def test_a_second_export_adds_to_the_manifest(tmp_path: Path) -> None:
    write_images(tmp_path, [released(3)], Output.DICOM)
    write_images(tmp_path, [released(5)], Output.DICOM)

    assert [line["instance"] for line in lines(tmp_path / "manifest.csv")] == ["2.25.3", "2.25.5"]


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    foreign = tmp_path / "P4X7/2.25.1/2.25.2/2.25.3.dcm"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"other")

    with pytest.raises(InvalidRequest, match="directory"):
        write_images(tmp_path, [released(3)], Output.DICOM)

    assert foreign.read_bytes() == b"other"


@pytest.mark.parametrize(
    "place", ["P4X7", "P4X7/2.25.1", "P4X7/2.25.1/2.25.2", "P4X7/2.25.1/2.25.2/2.25.3.dcm"]
)
def test_no_link_is_followed(tmp_path: Path, place: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    link = root / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)

    with pytest.raises(InvalidRequest, match="directory"):
        write_images(root, [released(3)], Output.DICOM)

    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["manifest.csv", "withheld.csv"])
def test_a_foreign_list_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("my own notes", encoding="utf-8")

    with pytest.raises(InvalidRequest, match=name):
        write_images(tmp_path, [released(3)], Output.DICOM)

    assert (tmp_path / name).read_text(encoding="utf-8") == "my own notes"


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"")

    with pytest.raises(InvalidRequest, match="directory"):
        write_images(tmp_path / "root", [], Output.DICOM)


def test_jpeg_goes_through_the_renderer_and_what_it_cannot_draw_is_withheld(tmp_path: Path) -> None:
    done = write_images(tmp_path, [released(3), released(4, b"")], Output.JPEG, Painter())

    assert done == Exported(written=1, kept=0, withheld=1)
    assert (tmp_path / "P4X7/2.25.1/2.25.2/2.25.3.jpg").read_bytes().startswith(b"\xff\xd8")
    assert [item["reason"] for item in lines(tmp_path / "withheld.csv")] == ["pixels not renderable"]


def test_jpeg_without_a_renderer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="renderer"):
        write_images(tmp_path, [released(3)], Output.JPEG)


@given(st.sampled_from(["patient", "study", "series", "instance"]), st.text())
def test_a_name_is_made_of_pseudonyms_or_refused(part: str, text: str) -> None:
    parts = {"patient": "P1", "study": "2.25.1", "series": "2.25.2", "instance": "2.25.3", part: text}
    header = ReleasedHeader(
        Level.INSTANCE,
        Pseudonym(parts["patient"]),
        parts["study"],
        parts["series"],
        parts["instance"],
        {},
    )

    try:
        name = file_name(header, Output.DICOM)
    except InvalidRequest:
        return

    assert is_file_name(name)
    assert name.count("/") == 3
    assert not any(piece in {"", ".", ".."} or piece.startswith(".") for piece in name.split("/"))


def test_a_table_is_no_image() -> None:
    with pytest.raises(InvalidRequest, match="output"):
        file_name(released(3).header, Output.CSV)


def test_the_clinical_table_is_written_whole_and_quoted(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"

    write_clinical(path, ["patient", "LVEF", "text"], [{"patient": "P1", "LVEF": 38.0, "text": "=1+1"}])

    assert path.read_bytes() == b"patient,LVEF,text\r\nP1,38.0,'=1+1\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_clinical_table_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "clinical.csv").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidRequest):
        write_clinical(tmp_path / "clinical.csv", ["patient"], [])

    assert not (tmp_path / "elsewhere").exists()


def packed(path: Path, item: ReleasedInstance, *, name: str = "", digest_of: bytes = b"") -> Path:
    name = name or file_name(item.header, Output.DICOM)
    line = file_line(item.header, name, digest_of or item.content)
    members = [
        Member(name, item.content),
        Member("manifest.csv", encode(MANIFEST, [line])),
        Member("withheld.csv", encode(WITHHELD, [withheld_line(withheld(9))])),
    ]
    path.write_bytes(b"".join(stream_zip(members)))
    return path


def test_a_download_is_unpacked_to_the_same_layout(tmp_path: Path) -> None:
    download = packed(tmp_path / "images.zip", released(3))

    with ImageDirectory(tmp_path / "out") as directory:
        directory.unpack(download)
        done = directory.finish()

    assert done == Exported(written=1, kept=0, withheld=1)
    assert write_images(tmp_path / "out", [released(3)], Output.DICOM).kept == 1


def test_a_download_with_another_digest_is_refused(tmp_path: Path) -> None:
    download = packed(tmp_path / "images.zip", released(3), digest_of=b"other")

    with ImageDirectory(tmp_path / "out") as directory, pytest.raises(ProtocolViolation, match="digest"):
        directory.unpack(download)

    assert list((tmp_path / "out").iterdir()) == []


def test_a_download_that_names_another_place_is_refused(tmp_path: Path) -> None:
    download = packed(tmp_path / "images.zip", released(3), name="elsewhere/a.dcm")

    with ImageDirectory(tmp_path / "out") as directory, pytest.raises(ProtocolViolation, match="pseudonym"):
        directory.unpack(download)


def test_a_download_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    download = packed(tmp_path / "images.zip", released(3))
    download.write_bytes(download.read_bytes()[:-30])

    with ImageDirectory(tmp_path / "out") as directory, pytest.raises(ProtocolViolation, match="whole"):
        directory.unpack(download)
