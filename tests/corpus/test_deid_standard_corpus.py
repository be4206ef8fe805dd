"""The table of attribute types against real public files of many makers."""

from collections import Counter
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from p2d.deid.standard.iods import attribute_type, iod_of

MALFORMED = "pwnlabmx"


def types(dataset: Dataset, sop_class_uid: str, path: tuple[str, ...] = ()) -> Counter[str]:
    found = Counter[str]()
    for element in dataset:
        if element.tag.is_private:
            continue
        place = (*path, f"{int(element.tag):08X}")
        found[attribute_type(sop_class_uid, place)] += 1
        for item in element.value if element.VR == "SQ" else ():
            found += types(item, sop_class_uid, place)
    return found


@pytest.mark.filterwarnings("ignore")  # real files hold values that pydicom warns of; only tags are read here
def test_nearly_every_attribute_of_real_files_has_a_type(corpus: Path) -> None:
    found, classes = Counter[str](), Counter[bool]()
    for path in sorted((corpus / "files").rglob("*")):
        if not path.is_file() or path.relative_to(corpus / "files").parts[0].startswith(MALFORMED):
            continue
        try:
            dataset = dcmread(path, stop_before_pixels=True)
            sop_class_uid = str(dataset.get("SOPClassUID", ""))
            counted = types(dataset, sop_class_uid) if iod_of(sop_class_uid) else Counter[str]()
        except (InvalidDicomError, NotImplementedError, EOFError, AttributeError, ValueError):
            continue
        classes[bool(iod_of(sop_class_uid))] += bool(sop_class_uid)
        found += counted

    assert classes[True] > 300
    assert classes[False] == 0
    assert found[""] < found.total() / 500
