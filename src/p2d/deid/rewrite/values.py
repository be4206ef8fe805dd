"""Apply an action to the values of one element: the single place where values change.

Works on plain values, so that a C-FIND answer, a whole header and a DICOM file pass the same code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p2d.deid.dates import capped_age, shifted_date, shifted_date_time, valid_time
from p2d.deid.profile.action import NUMBER_VRS, TEXT_VRS, Action
from p2d.deid.report.tally import Outcome
from p2d.deid.scrub.cleaner import TextCleaner
from p2d.deid.uids import Underived, derived, looks_like_uid
from p2d.model.header import Value
from p2d.model.ids import Pseudonym

Values = tuple[Value, ...]
_NUMBER: Final = re.compile(r"\s*(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)?\s*", re.ASCII)
UNICODE: Final = "ISO_IR 192"
MAX_LENGTH: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
MAX_CLEANED: Final = 1 << 18
"""Characters of one element beyond which a text goes as a whole: cleaning takes some 40 s a million."""

_DUMMIES: Final[Mapping[str, Value]] = {
    "DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "IS": 0, "DS": 0.0,
    "AE": "REMOVED", "CS": "REMOVED", "SH": "REMOVED", "LO": "REMOVED", "ST": "REMOVED", "LT": "REMOVED",
    "UC": "REMOVED", "UT": "REMOVED", "UR": "REMOVED", "PN": "REMOVED",
    "US": 0, "SS": 0, "UL": 0, "SL": 0, "UV": 0, "SV": 0, "FL": 0.0, "FD": 0.0,
}  # fmt: skip
_KEEP: Final = Action.KEEP  # bound here: looking a member up costs more than what is done with it
_REMOVE: Final = Action.REMOVE
_DUMMY: Final = Action.DUMMY
_UID: Final = Action.UID
_PATIENT: Final = Action.PATIENT
_CHARACTER_SET: Final = Action.CHARACTER_SET
_CAP_AGE: Final = Action.CAP_AGE
_CASE: Final = Action.CASE
_WITHOUT_VALUE: Final = (Action.EMPTY, Action.ITEMS, Action.BULK, Action.CONTENT)
_REPLACED: Final = (Action.DUMMY, Action.CASE, Action.ACCESSION)
_REPLACING: Final = (*_REPLACED, Action.PATIENT, Action.UID)
_GONE: Final = Outcome.REMOVED
_EMPTIED: Final = Outcome.EMPTIED
_KEPT: Final = Outcome.KEPT
_NEW: Final = Outcome.REPLACED
_CLEANED: Final = Outcome.CLEANED


@dataclass(frozen=True, slots=True)
class Treatment:
    """What the actions need for one patient; ``shift_days`` is 0 where true dates are kept."""

    patient: Pseudonym
    shift_days: int = field(repr=False)
    uids: Mapping[str, str] = field(repr=False)
    accessions: Mapping[str, Pseudonym] = field(repr=False)
    cases: Mapping[str, Pseudonym] = field(repr=False)
    cleaner: TextCleaner = field(repr=False)
    age_cap: int | None = None


def treat(  # noqa: PLR0911 - one return an action
    action: Action, vr: str, values: Values, treatment: Treatment
) -> Values | None:
    """Return the released *values* of an element, or None where the element goes.

    Raises:
        Underived: a UID or accession number that *treatment* has no pseudonym for.

    """
    if action is _REMOVE:
        return None
    if action is _PATIENT:
        return (str(treatment.patient),)
    if action is _CHARACTER_SET:
        return values
    if values.count("") == len(values) or action in _WITHOUT_VALUE:
        return ()
    if action in _REPLACED:
        return _replaced(action, vr, values, treatment)
    if action is _UID:
        return _uids(values, treatment)
    if action is _KEEP:
        return _kept(vr, values)
    if action is _CAP_AGE:
        return _ages(values, treatment.age_cap)
    return _retained(vr, values, treatment)


def _ages(values: Values, cap: int | None) -> Values | None:
    if cap is None:
        return values
    ages = [capped_age(str(value), cap) if value != "" else "" for value in values]
    return None if None in ages else tuple(age for age in ages if age is not None)


def dummy_of(vr: str) -> Values | None:
    """Return the value that stands for one that must not leave, or None where *vr* has none."""
    return (_DUMMIES[vr],) if vr in _DUMMIES else None


def _kept(vr: str, values: Values) -> Values | None:
    """Return *values* as they are; None where a number or UID is none and might be a text."""
    if vr == "UI":
        return values if all(looks_like_uid(str(value)) for value in values) else None
    return _numbers(vr, values) if vr in NUMBER_VRS else values


def _replaced(action: Action, vr: str, values: Values, treatment: Treatment) -> Values | None:
    """Return the one value that stands for *values*: a dummy, or the pseudonym of an accession or case."""
    original = "\\".join(str(value) for value in values)
    if action is _DUMMY:
        return dummy_of(vr)
    if action is _CASE:
        case = treatment.cases.get(original)
        return None if case is None else (str(case),)
    accession = treatment.accessions.get(original)
    if accession is None:
        raise Underived
    return (str(accession),)


def _uids(values: Values, treatment: Treatment) -> Values | None:
    texts = [str(value) for value in values]
    if not all(looks_like_uid(text) for text in texts if text):
        return None
    return tuple(derived(text, treatment.uids) for text in texts)


def _retained(vr: str, values: Values, treatment: Treatment) -> Values | None:
    """Return values that stay in substance: numbers, dates, codes and texts; None where one is malformed."""
    if vr in NUMBER_VRS:
        return _numbers(vr, values)
    if vr in TEXT_VRS:
        return _texts(vr, values, treatment.cleaner)
    kept: list[Value] = []
    for value in values:
        new = _form(vr, str(value), treatment.shift_days) if value != "" else ""
        if new is None:
            return None
        kept.append(new)
    return tuple(kept)


def _form(vr: str, text: str, days: int) -> str | None:
    if vr == "DA":
        return shifted_date(text, days)
    if vr == "DT":
        return shifted_date_time(text, days)
    return valid_time(text) if vr == "TM" else None


def _numbers(vr: str, values: Values) -> Values | None:
    if vr == "AT" or all(not isinstance(value, str) or _NUMBER.fullmatch(value) for value in values):
        return values
    return None


def _texts(vr: str, values: Values, cleaner: TextCleaner) -> Values | None:
    if sum(len(str(value)) for value in values) > MAX_CLEANED:
        return None
    cleaned = tuple(cleaner.clean(str(value)) for value in values)
    if cleaned == values:
        return values
    if vr in {"CS", "AE", "UR"}:
        return None
    limit = MAX_LENGTH.get(vr)
    return tuple(text[:limit] for text in cleaned) if limit else cleaned


_OUTCOMES: Final = {
    Action.REMOVE: Outcome.REMOVED,
    Action.EMPTY: Outcome.EMPTIED,
    Action.DATE: Outcome.SHIFTED,
    Action.KEEP: Outcome.KEPT,
    Action.CHARACTER_SET: Outcome.KEPT,
}


def outcome_of(action: Action, old: Values, new: Values | None) -> Outcome:
    """Return what to count for an element that *action* turned from *old* into *new*."""
    if new is None:
        return _GONE
    if new.count("") == len(new):
        return _EMPTIED
    if new == old:
        return _KEPT
    if action in _REPLACING:
        return _NEW
    return _OUTCOMES.get(action, _CLEANED)
