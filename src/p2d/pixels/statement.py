"""What an object says about its pixels after screening (PS3.15 E.3.1, PS3.3 C.12.1.1.9)."""

from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence as Items

_METHOD: Final = "P2D: burned-in text masked"


def mark_screened(dataset: Dataset) -> None:
    """Say that Clean Pixel Data was applied: (0028,0301) NO, 113101 in (0012,0064); the icon goes."""
    dataset.BurnedInAnnotation = "NO"
    codes = list(dataset.get("DeidentificationMethodCodeSequence") or [])
    if not any(str(item.get("CodeValue")) == "113101" for item in codes):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = "113101", "DCM"
        item.CodeMeaning = "Clean Pixel Data Option"
        dataset.DeidentificationMethodCodeSequence = Items([*codes, item])
    if "IconImageSequence" in dataset:
        del dataset.IconImageSequence


def mark_masked(dataset: Dataset) -> None:
    """Say besides that pixels were changed, as a further value of DeidentificationMethod (0012,0063).

    ImageType and DerivationDescription stay: they tell researchers how the image was made.
    """
    mark_screened(dataset)
    stated = dataset.get("DeidentificationMethod") or []
    methods = [stated] if isinstance(stated, str) else [str(method) for method in stated]
    if _METHOD not in methods:
        dataset.DeidentificationMethod = [*methods, _METHOD]
