"""Refuse what does not have the form of a pseudonym, or is no keyword, before it is written anywhere.

A list or query that holds real identifiers by mistake must not leave them in ledger, sessions or audit.
"""

import re
from collections.abc import Iterable
from typing import Final

from p2d.dicom.dictionary import tag_of
from p2d.identity.keys import is_own_form
from p2d.identity.port import Domain
from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym, is_derived_uid
from p2d.model.level import Kind
from p2d.model.request import Target

_DOMAINS: Final = {Kind.PATIENT: Domain.PATIENT, Kind.CASE: Domain.CASE, Kind.ACCESSION: Domain.ACCESSION}


def has_form(kind: Kind, pseudonym: str, patient_form: re.Pattern[str] | None) -> bool:
    """Whether *pseudonym* can be one of *kind*: P2D's own form, or *patient_form* for a foreign IDM's."""
    if kind is Kind.PATIENT and patient_form is not None:
        return patient_form.fullmatch(pseudonym) is not None
    if kind in _DOMAINS:
        return is_own_form(_DOMAINS[kind], pseudonym)
    return is_derived_uid(pseudonym)


def check_forms(targets: Iterable[Target], patient_form: re.Pattern[str] | None) -> None:
    """Let *targets* pass when all have the form of pseudonyms.

    Raises:
        InvalidRequest: naming the first that has not, by its place.

    """
    for index, target in enumerate(targets):
        if not has_form(target.kind, target.pseudonym, patient_form):
            raise _not_a_pseudonym(f"identifiers[{index}].pseudonym")
        if target.study is not None and not is_derived_uid(target.study):
            raise _not_a_pseudonym(f"identifiers[{index}].study")


def check_patients(patients: Iterable[Pseudonym], patient_form: re.Pattern[str] | None) -> None:
    """Let *patients* pass when all have the form of patient pseudonyms.

    Raises:
        InvalidRequest: naming the first that has not, by its place.

    """
    for index, patient in enumerate(patients):
        if not has_form(Kind.PATIENT, patient, patient_form):
            raise _not_a_pseudonym(f"patients[{index}]")


def check_attributes(attributes: Iterable[str]) -> None:
    """Let *attributes* pass when all are DICOM keywords.

    Raises:
        InvalidRequest: naming the field and how many are unknown.

    """
    unknown = [name for name in attributes if not _is_keyword(name)]
    if unknown:
        raise InvalidRequest(
            "attributes",
            f"holds {len(unknown)} keyword(s) that the DICOM dictionary does not know",
            "use keywords as printed in PS3.6, such as SeriesDescription",
        )


def _is_keyword(name: str) -> bool:
    try:
        tag_of(name)
    except KeyError:
        return False
    return True


def _not_a_pseudonym(field: str) -> InvalidRequest:
    return InvalidRequest(
        field,
        "does not have the form of a pseudonym of this site (a typing error, or a real identifier)",
        "send pseudonyms as the warehouse shows them",
    )
