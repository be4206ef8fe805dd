"""What a hospital knows of its patients, from a table of one row a patient: what no output may hold."""

import csv
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Final

from p2d.deid.references import merge_known
from p2d.dicom.dictionary import tag_of, vr_of
from p2d.model.errors import InvalidRequest
from p2d.model.identified import KnownValues

_PATIENT_ID: Final = "patientid"
_PLACES: Final = frozenset({"institutionname", "institutionaddress", "institutionaldepartmentname"})
_BIRTHS: Final = frozenset({"patientbirthdate", "birthdate", "dateofbirth", "geburtsdatum"})
_NAMES: Final = frozenset({"name", "familyname", "givenname", "surname", "firstname", "lastname", "nachname"})
_CONTACTS: Final = frozenset({"address", "street", "city", "telephone", "phone", "mail", "email"})
_IDS: Final = frozenset({"patientid", "otherpatientids", "admissionid", "insurancenumber", "mrn", "caseid"})
_HARMLESS: Final = frozenset(
    {"patientsex", "sex", "gender", "patientage", "patientsize", "patientweight", "ethnicgroup"}
)
_MAX_CELL: Final = 4096


def read_patients(path: Path) -> dict[str, KnownValues]:
    """Return what the CSV file *path* tells of each patient, by PatientID.

    Columns are DICOM keywords; several values of one are separated by a backslash. Birth dates are YYYYMMDD,
    YYYY-MM-DD or DD.MM.YYYY. Every column that is not known by its keyword holds identifying values as well.

    Raises:
        InvalidRequest: not readable as CSV, no column PatientID, a row without one, a date that is none.

    """
    known: dict[str, KnownValues] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            columns = [(name, _plain(name)) for name in rows.fieldnames or ()]
            column = next((name for name, plain in columns if plain == _PATIENT_ID), None)
            if column is None:
                raise InvalidRequest(
                    "--patients", "has no column PatientID", "name the columns by DICOM keyword"
                )
            for line, row in enumerate(rows, 2):
                patient = (row.get(column) or "").strip()
                if not patient:
                    raise InvalidRequest(
                        "--patients", f"line {line} has no PatientID", "fill it in or drop it"
                    )
                told = _told(row, dict(columns), line)
                known[patient] = merge_known(known.get(patient, KnownValues()), told)
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InvalidRequest("--patients", "is not readable as CSV in UTF-8", "write it as such") from None
    return known


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _told(row: Mapping[str | None, object], columns: Mapping[str, str], line: int) -> KnownValues:
    if row.get(None):
        raise InvalidRequest(
            "--patients", f"line {line} has more cells than columns", "quote cells with commas"
        )
    found: dict[str, set[str]] = {field.name: set() for field in fields(KnownValues)}
    for name, plain in columns.items():
        cell = str(row.get(name) or "").strip()
        if len(cell) > _MAX_CELL:
            raise InvalidRequest("--patients", f"line {line} holds an overlong cell", "shorten it")
        if plain in _HARMLESS:
            continue
        for value in filter(None, (part.strip() for part in cell.split("\\"))):
            kind = _kind(name, plain, value)
            found[kind].add(_day(value, line) if kind in {"birth_dates", "dates"} else value)
    return KnownValues(**{name: frozenset(values) for name, values in found.items()})


def _kind(name: str, plain: str, value: str) -> str:  # noqa: PLR0911 - one line a kind of value
    """Return the field of KnownValues that *value* of the column *name* belongs to."""
    if plain in _BIRTHS:
        return "birth_dates"
    if plain in _PLACES:
        return "places"
    if plain == "accessionnumber":
        return "accessions"
    if plain in _IDS:
        return "ids"
    vr = _vr(name)
    if vr == "PN" or plain in _NAMES:
        return "names"
    if vr == "DA":
        return "dates"
    if plain in _CONTACTS or " " in value or "@" in value:
        return "contacts"
    return "ids" if any(character.isdigit() for character in value) else "contacts"


def _vr(keyword: str) -> str:
    try:
        return vr_of(tag_of(keyword))
    except KeyError:
        return ""


def _day(text: str, line: int) -> str:
    digits = text.replace("-", "")
    if len(parts := text.split(".")) == 3:  # noqa: PLR2004 - day, month and year
        digits = f"{parts[2]:>04}{parts[1]:>02}{parts[0]:>02}"
    try:
        date.fromisoformat(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")
    except ValueError:
        raise InvalidRequest(
            "--patients", f"line {line} holds a date that is none", "write YYYYMMDD, YYYY-MM-DD or DD.MM.YYYY"
        ) from None
    return digits
