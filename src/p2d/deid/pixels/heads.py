"""Heads that could be recognised: thin slices from which a face can be built (PS3.15 E.3.2).

Thin slices of CT, MR and PET. P2D defaces nothing and never claims code 113102; it says which objects a
project may have to leave out.
"""

import re
from typing import Final

from p2d.model.header import Elements, text_of

THICKEST_MM: Final = 2.0
"""SliceThickness (0018,0050) up to which a head counts as recognisable; without a value it does."""

_MODALITIES: Final = frozenset({"CT", "MR", "PT"})
_TEXTS: Final = (
    "00180015",  # BodyPartExamined
    "0008103E",  # SeriesDescription
    "00081030",  # StudyDescription
    "00181030",  # ProtocolName
    "00321060",  # RequestedProcedureDescription
)
_CODES: Final = ("00082218[0].00080100", "00082228[0].00080100", "00540220[0].00080100")
"""AnatomicRegionSequence, PrimaryAnatomicStructureSequence, their codes."""
_HEAD_CODES: Final = frozenset(
    {
        "T-D1100", "69536005",  # head
        "T-D1160", "774007",  # head and neck
        "T-A0100", "12738006",  # brain
        "T-D1200", "89545001",  # face
        "T-11102", "89546000",  # skull
    }
)  # fmt: skip
_HEAD_WORDS: Final = re.compile(
    r"(?<![a-z])(?:head|brain|skull|face|facial|cranial|cranium|neuro|orbits?|sinus(?:es)?|nasal"
    r"|temporal bone|iac|kopf|schädel|schaedel|hirn|gehirn|nnh|gesicht"
    r"|felsenbein|mittelgesicht|orbita|cerebral|cerebrum"
    r"|cct|cmr[it]|mprage|tfl3d|bravo|crane|crâne|cerveau|cabeza|craneo|cráneo|testa|cranio|hoofd|hersenen"
    r"|głowa|mózg|jaw|maxillofacial|dental|kiefer)",
    re.IGNORECASE,
)


def is_recognisable(elements: Elements, modality: str) -> bool:
    """Whether one object looks like a thin slice of a head; the series' other slices are not known here."""
    if not {text_of(elements, "00080060").strip().upper(), modality} & _MODALITIES:
        return False
    thickness = _thickness(elements)
    if thickness is not None and thickness > THICKEST_MM:
        return False
    if {text_of(elements, path).strip() for path in _CODES} & _HEAD_CODES:
        return True
    return any(_HEAD_WORDS.search(text_of(elements, path)) for path in _TEXTS)


def _thickness(elements: Elements) -> float | None:
    """Return SliceThickness in mm, of the data set or of the shared measures of an enhanced object."""
    for path in ("00180050", "52009229[0].00289110[0].00180050"):
        element = elements.get(path)
        if element is not None and element.values and isinstance(element.values[0], (int, float)):
            return float(element.values[0])
    return None
