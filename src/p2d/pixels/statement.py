"""What an object says about its pixels after screening (PS3.15 E.3.1, PS3.3 C.7.6.1, C.12.1.1.9)."""

from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence as Items

_DERIVATION: Final = "Burned-in text masked by P2D"
_MAX_DERIVATION: Final = 1024  # ST


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
    """Say besides that pixels were changed, in DerivationDescription (0008,2111).

    ImageType stays: it tells researchers how the image was made, and the profile does not ask to change it.
    """
    mark_screened(dataset)
    earlier = str(dataset.get("DerivationDescription") or "").strip()
    if _DERIVATION not in earlier:
        text = f"{earlier}; {_DERIVATION}" if earlier else _DERIVATION
        dataset.DerivationDescription = text if len(text) <= _MAX_DERIVATION else _DERIVATION
