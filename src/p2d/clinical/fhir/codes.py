"""What codes of FHIR resources become: attributes, kinds of document, types of case, sex."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from p2d.clinical.fhir.elements import items, text
from p2d.clinical.mapping import Words

SCHEMES: Final[Mapping[str, str]] = {
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD10",
    "http://fhir.de/CodeSystem/dimdi/icd-10-gm": "ICD10",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10",
    "http://fhir.de/CodeSystem/bfarm/ops": "OPS",
    "http://fhir.de/CodeSystem/dimdi/ops": "OPS",
    "http://fhir.de/CodeSystem/bfarm/atc": "ATC",
    "http://www.whocc.no/atc": "ATC",
    "http://snomed.info/sct": "SNOMED",
    "http://loinc.org": "LOINC",
}
_KINDS: Final[Mapping[str, str]] = {
    "LAB": "laboratory",
    "RAD": "radiology_report",
    "11502-2": "laboratory",
    "18748-4": "radiology_report",
    "68604-8": "radiology_report",
    "18842-5": "discharge_letter",
}
_TYPES: Final[Mapping[str, str]] = {
    "IMP": "inpatient",
    "ACUTE": "inpatient",
    "NONAC": "inpatient",
    "AMB": "outpatient",
    "SS": "outpatient",
    "VR": "outpatient",
    "HH": "outpatient",
    "EMER": "emergency",
}
OWN_SYSTEM: Final = "urn:p2d:code:"
"""How the code system of an attribute begins in an export of P2D's own."""
NULL_FLAVOR: Final = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_SEX: Final[Mapping[str, str]] = {"male": "M", "female": "F", "other": "O"}


@dataclass(frozen=True, slots=True)
class Coded:
    """A coding: its scheme's name, its code and what it is called."""

    scheme: str
    code: str
    name: str | None
    is_known: bool


def _own(system: str) -> str | None:
    """Return the attribute that an export of P2D's own made a code system of; one that it escaped is lost."""
    name = system.removeprefix(OWN_SYSTEM)
    return name if name != system and name.isascii() and name.isalnum() else None


class Codes:
    """The defaults above, and before them the words of the mapping file."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def coded(self, concept: Any) -> Coded | None:
        """Return the coding of a CodeableConcept: the first of a scheme that is known, else the first."""
        first = None
        for coding in items(concept, "coding"):
            code, system = text(coding, "code"), text(coding, "system") or ""
            if code is None:
                continue
            known = self._words.schemes.get(system) or SCHEMES.get(system) or _own(system)
            name = text(coding, "display") or text(concept, "text")
            found = Coded(known or "CODE", code, name, known is not None)
            if found.is_known:
                return found
            first = first or found
        return first

    def attribute(self, concept: Any) -> str | None:
        """Return the name of the attribute that a CodeableConcept asks for."""
        attributes = self._words.attributes
        for coding in items(concept, "coding"):
            code, system = text(coding, "code") or "", text(coding, "system") or ""
            if found := attributes.get(f"{system}|{code}") or attributes.get(code):
                return found
        coded = self.coded(concept)
        if coded is None:
            name = text(concept, "text")
            return attributes.get(name, name) if name else None
        return coded.code if coded.code[0].isalpha() else f"{coded.scheme} {coded.code}"

    def kind(self, *concepts: Any) -> str | None:
        """Return the kind of document that the first telling one of *concepts* means."""
        for words in (self._words.kinds, _KINDS):
            for concept in concepts:
                for coding in items(concept, "coding"):
                    code, system = text(coding, "code") or "", text(coding, "system") or ""
                    if found := words.get(f"{system}|{code}") or words.get(code):
                        return found
        for concept in concepts:
            for coding in items(concept, "coding"):
                if name := text(coding, "code"):
                    shown = text(coding, "display") or name
                    return self._words.kinds.get(shown, shown if not name[0].isalpha() else name)
            if name := text(concept, "text"):
                return self._words.kinds.get(name, name)
        return None

    def type(self, coding: Any) -> str | None:
        """Return the type of case that Encounter.class means; a null flavour is none."""
        code = text(coding, "code") or ""
        if text(coding, "system") == NULL_FLAVOR and code not in self._words.types:
            return None
        return self._words.types.get(code) or _TYPES.get(code) or text(coding, "display") or code or None

    def sex(self, gender: str | None) -> str | None:
        """Return the sex that Patient.gender means; *unknown* is none."""
        return (self._words.sex.get(gender) or _SEX.get(gender)) if gender else None
