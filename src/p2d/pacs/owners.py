"""Whose a study or an accession number is: a query by that key alone (PS3.4 C.6.2)."""

from collections.abc import Iterable, Mapping
from typing import Final

from p2d.model.errors import ProtocolViolation
from p2d.model.header import Elements, text_of
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.hierarchy import Ask, Question
from p2d.pacs.query import KEYS, PATIENT_ID

_MOST_OWNERS: Final = 10


def owners(ask: Ask, keys: Mapping[str, str]) -> list[PatientId]:
    """Return the patients of the studies that match *keys*, each once, in the archive's order.

    Raises:
        ProtocolViolation: an answer without PatientID, or more patients than one examination can have.

    """
    (found,) = ask([Question(Level.STUDY, keys, KEYS[Level.STUDY])])
    return patients_in(found, keys)


def patients_in(found: Iterable[Elements], keys: Mapping[str, str]) -> list[PatientId]:
    """Return the patients of those study-level rows *found* that have all *keys*, as ``owners``."""
    stated = {path: value.strip() for path, value in keys.items() if value}
    rows = [row for row in found if all(text_of(row, path) == value for path, value in stated.items())]
    patients = list(dict.fromkeys(text_of(row, PATIENT_ID) for row in rows))
    if "" in patients or len(patients) > _MOST_OWNERS:
        raise ProtocolViolation(
            "pacs",
            f"one study or accession number led to {len(patients)} patients, or to one without PatientID",
            "see the archive's conformance statement",
        )
    return [PatientId(patient) for patient in patients]
