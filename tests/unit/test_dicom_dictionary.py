"""Tags, keywords and UIDs."""

import pytest

from p2d.dicom.dictionary import (
    is_private,
    keyword_of,
    keyword_path_of,
    leaf_of,
    multiplicity_of,
    tag_of,
    vr_of,
)
from p2d.dicom.uids import IMPLEMENTATION_CLASS_UID, is_uid, is_well_known


def test_keyword_and_tag_are_inverse() -> None:
    assert tag_of("PatientID") == "00100020"
    assert keyword_of("00100020") == "PatientID"


def test_a_path_is_read_by_its_last_tag() -> None:
    path = "00081115[0].0020000E"

    assert leaf_of(path) == "0020000E"
    assert leaf_of("00081115[12]") == "00081115"
    assert keyword_of(path) == "SeriesInstanceUID"
    assert keyword_path_of(path) == "ReferencedSeriesSequence[0].SeriesInstanceUID"
    assert (vr_of(path), multiplicity_of(path)) == ("UI", "1")


def test_private_and_unknown_tags_have_no_keyword() -> None:
    assert keyword_of("00091001") == ""
    assert vr_of("00081FFE") == "UN"
    assert multiplicity_of("00081FFE") == ""
    assert is_private("00081115[0].00091001")
    assert not is_private("00080018")


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(KeyError):
        tag_of("NoSuchKeyword")


def test_uids_are_checked_by_form() -> None:
    assert is_uid(IMPLEMENTATION_CLASS_UID)
    assert is_uid("1.2.840.10008.1.2")
    assert not any(is_uid(text) for text in ("", "1.02", "1..2", "1.2.", "a", "1" * 65))


def test_only_registered_uids_are_well_known() -> None:
    assert is_well_known("1.2.840.10008.5.1.4.1.1.2")
    assert not is_well_known("1.2.840.100089.5")
    assert not is_well_known("1.2.840.10008.Müller")
