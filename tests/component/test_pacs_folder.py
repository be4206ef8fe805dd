"""A folder in the place of an archive: strange, broken, moved and changing files are never fatal."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from p2d.model.errors import Unavailable
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.folder.connector import FolderArchive
from p2d.pacs.folder.index import FolderCounts
from p2d.pacs.port import Query, RetrieveCounts
from p2d.settings import gateway
from p2d.testing.datasets import ct

PATIENT = PatientId("P-1")


def write(path: Path, dataset: Dataset, syntax: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        dcmwrite(path, dataset, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    else:
        dcmwrite(path, dataset, enforce_file_format=True)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(3):
        write(
            tmp_path / "root" / "a" / f"{number}", ct(SOPInstanceUID=f"1.2.{number}", InstanceNumber=number)
        )
    return tmp_path / "root"


@pytest.fixture
def pacs(root: Path) -> Iterator[FolderArchive]:
    with opened(root) as archive:
        yield archive


def opened(root: Path, rescan_seconds: float = 300) -> FolderArchive:
    settings = {"connector": "folder", "folder": root, "rescan_seconds": rescan_seconds}
    return FolderArchive(gateway.FolderArchive.model_validate(settings))


def found(pacs: FolderArchive, level: Level = Level.INSTANCE) -> list[IdentifiedHeader]:
    return list(pacs.find(Query(level, PATIENT)))


def test_what_is_no_object_is_counted_and_the_rest_is_found(root: Path, pacs: FolderArchive) -> None:
    whole = (root / "a" / "0").read_bytes()
    (root / "notes.txt").write_text("not DICOM")
    (root / "empty").touch()
    (root / "cut").write_bytes(whole[:400])
    (root / "wrong").write_bytes(whole[:300] + b"\xff" * 60)
    write(root / "nobody", ct(PatientID=None, SOPInstanceUID="1.2.9"))
    write(root / "z" / "again", ct(SOPInstanceUID="1.2.0"))
    os.mkfifo(root / "pipe")

    assert len(found(pacs)) == 3
    assert pacs.counts() == FolderCounts(3, not_dicom=2, malformed=2, nameless=1, duplicates=1, links=0)
    assert all(str(root) not in note for note in pacs.counts().notes())


def test_links_are_not_followed(root: Path, pacs: FolderArchive, tmp_path: Path) -> None:
    write(tmp_path / "outside" / "x", ct(SOPInstanceUID="1.2.66"))
    (root / "to a file").symlink_to(tmp_path / "outside" / "x")
    (root / "to a folder").symlink_to(tmp_path / "outside")
    (root / "in a circle").symlink_to(root)

    assert len(found(pacs)) == 3
    assert pacs.counts().links == 3


def test_a_folder_replaced_by_a_link_is_not_entered(root: Path, pacs: FolderArchive, tmp_path: Path) -> None:
    headers = found(pacs)
    (root / "a").rename(tmp_path / "elsewhere")
    (root / "a").symlink_to(tmp_path / "elsewhere")
    counts = RetrieveCounts()

    assert list(pacs.retrieve(PATIENT, headers, counts)) == []
    assert counts.notes == ["3 file(s) had changed or gone since the folder was indexed"]


@pytest.mark.parametrize("pixels", [True, False])
def test_files_changed_or_gone_since_they_were_listed_do_not_arrive(
    root: Path, pacs: FolderArchive, pixels: bool
) -> None:
    headers = found(pacs)
    (root / "a" / "0").unlink()
    write(root / "a" / "1", ct(SOPInstanceUID="1.2.1", PatientID="P-2"))
    counts = RetrieveCounts()

    arrived = list(pacs.retrieve(PATIENT, headers, counts, pixels=pixels))

    assert [one.header.sop_instance_uid for one in arrived] == ["1.2.2"]
    assert counts.notes == ["2 file(s) had changed or gone since the folder was indexed"]
    assert [one.sop_instance_uid for one in found(pacs)] == ["1.2.2"]  # indexed anew


def test_what_is_written_later_is_found_at_the_next_rescan(root: Path) -> None:
    with opened(root, rescan_seconds=0) as pacs:
        assert len(found(pacs)) == 3
        write(root / "b" / "later", ct(SOPInstanceUID="1.2.77"))

        assert len(found(pacs)) == 4


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda one: one.name,
)
def test_every_way_of_encoding_is_indexed_and_comes_as_it_is(
    root: Path, pacs: FolderArchive, syntax: str
) -> None:
    own = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.5"}
    write(root / "b", ct(PatientName="Müller^Anna", **own), syntax)

    (header,) = (one for one in found(pacs) if one.sop_instance_uid == "1.2.5")
    (whole,) = pacs.retrieve(PATIENT, [header])
    (cut,) = pacs.retrieve(PATIENT, [header], pixels=False)

    assert text_of(header.elements, "00100010") == "Müller^Anna"
    assert text_of(header.elements, "00280010") == "8"
    assert whole.transfer_syntax_uid == syntax
    assert whole.sop_class_uid == text_of(header.elements, "00080016")
    assert not whole.is_cut
    assert cut.is_cut is (syntax != DeflatedExplicitVRLittleEndian)
    assert len(cut.content) <= len(whole.content)


@pytest.mark.parametrize("pixels", [True, False])
def test_large_files_come_whole_or_only_as_far_as_their_header(
    root: Path, pacs: FolderArchive, pixels: bool
) -> None:
    content = os.urandom(3 << 20)
    large = ct(
        SOPInstanceUID="1.2.5", SeriesInstanceUID="1.2.3.4", PixelData=content, Rows=1024, Columns=1536
    )
    large.add_new(0x00091001, "OB", b"x" * (1 << 20))  # the header alone is longer than the first look
    write(root / "b", large)

    (header,) = (one for one in found(pacs) if one.sop_instance_uid == "1.2.5")
    (arrived,) = pacs.retrieve(PATIENT, [header], pixels=pixels)

    assert arrived.is_cut is not pixels
    assert (content in arrived.content[arrived.offset :]) is pixels
    assert 1 << 20 < len(arrived.content) - arrived.offset < (2 << 20) + (3 << 20) * pixels


def test_counts_and_modalities_are_those_of_the_files(root: Path, pacs: FolderArchive) -> None:
    write(root / "b", ct(SOPInstanceUID="1.2.5", SeriesInstanceUID="1.2.3.4", Modality="SR"))

    (study,) = found(pacs, Level.STUDY)
    (patient,) = found(pacs, Level.PATIENT)

    assert [text_of(study.elements, path) for path in ("00201206", "00201208", "00080061")] == [
        "2",
        "4",
        "CT\\SR",
    ]
    assert [text_of(patient.elements, path) for path in ("00201200", "00201202", "00201204")] == [
        "1",
        "2",
        "4",
    ]


def test_an_instance_of_another_patient_is_not_handed_out(pacs: FolderArchive) -> None:
    headers = found(pacs)

    assert list(pacs.retrieve(PatientId("P-2"), headers)) == []


def test_a_folder_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with opened(tmp_path / "nowhere") as pacs:
        for ask in (pacs.echo, lambda: found(pacs)):
            with pytest.raises(Unavailable) as caught:
                ask()
            assert str(tmp_path) not in str(caught.value)


def test_mapped_objects_outlive_their_file(root: Path, pacs: FolderArchive) -> None:
    write(root / "b", ct(SOPInstanceUID="1.2.5", SeriesInstanceUID="1.2.3.4", PixelData=b"\7" * (2 << 20)))
    (header,) = (one for one in found(pacs) if one.sop_instance_uid == "1.2.5")
    arrived: IdentifiedInstance = next(iter(pacs.retrieve(PATIENT, [header])))
    (root / "b").write_bytes(b"")

    assert arrived.content[-4:] == b"\7\7\7\7"
