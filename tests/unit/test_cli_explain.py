"""``p2d explain``: every attribute of a profile, every element of a file, never a value."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from p2d.cli.app import cli
from p2d.deid.standard.table import table


def explain(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["explain", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = "1.2.3.4.5"
    dataset.PatientName = "Geheim^Greta"
    dataset.StationName = "NORDCT1"
    block = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
    block.add_new(0x23, "DS", "1.5")
    block.add_new(0x99, "LO", "Geheim")
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3.4.6"
    dataset.SourceImageSequence = Sequence([item])
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator = "110190", "DCM"
    content = Dataset()
    content.ValueType, content.TextValue = "TEXT", "Geheim"
    content.ConceptNameCodeSequence = Sequence([concept])
    dataset.ContentSequence = Sequence([content])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "scan.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_every_row_of_the_table_is_explained() -> None:
    rows = json.loads(explain("--json"))["attributes"]

    assert table().keys() <= {row["tag"] for row in rows}
    assert all(row["why"] and set(row["action_by_type"]) == {"1", "2", "3"} for row in rows)


def test_a_file_is_explained_element_by_element(file: Path) -> None:
    rows = {row["path"]: row for row in json.loads(explain("--json", str(file)))["attributes"]}

    assert rows["00081010"]["why"] == "Table E.1-1 X/Z/D, type 3 in CT Image -> X"
    assert rows["00082112[0].00081155"]["action"] == "UID"
    assert rows["00082112[0].00081155"]["name"] == "SourceImageSequence[0].ReferencedSOPInstanceUID"
    assert (rows["00191023"]["action"], rows["00191099"]["action"]) == ("KEEP", "REMOVE")
    assert rows["0040A730[0]"]["action"] == "REMOVE"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_value_of_a_file_is_printed(file: Path, form: list[str]) -> None:
    text = explain(*form, str(file))

    assert [value for value in ("Geheim", "Greta", "NORDCT1", "1.2.3.4", "GEMS") if value in text] == []


def test_one_attribute_can_be_asked_for(file: Path) -> None:
    assert explain("--attribute", "StationName").splitlines()[0] == (
        "StationName (0008,1010) SH: removed; emptied where type 2; dummy value where type 1"
    )
    assert explain("--attribute", "(0008,1010)", str(file)).count("\n") == 1


def test_what_is_no_dicom_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Geheim, Greta " * 20)

    result = CliRunner().invoke(cli, ["explain", str(path)])

    assert "Geheim" not in result.output
    assert result.exit_code in {0, 2}


def test_an_unknown_profile_says_what_to_name() -> None:
    result = CliRunner().invoke(cli, ["explain", "--profile", "reserch"])

    assert result.exit_code == 3
    assert "preset" in result.output
