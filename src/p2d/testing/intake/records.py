"""Clinical records without a format: what the writers of this package write, and tests compare."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from p2d.flows.gateway.pseudonymise import INPUT
from p2d.testing.hospital.house import Hospital
from p2d.testing.hospital.nouns import Document, Fact, Patient
from p2d.warehouse.batch import SCHEMAS

Record = Mapping[str, Any]
_RENAMED: Final = {
    "patient": "patient_id",
    "case": "case_id",
    "document": "document_id",
    "group": "group_id",
    "accession": "accession_number",
    "birth": "birth_date",
}


@dataclass(frozen=True)
class Clinical:
    """Records of the four tables; dates are texts, names and contacts lists, the birth date may be a year."""

    patient: list[dict[str, Any]] = field(repr=False)
    case: list[dict[str, Any]] = field(repr=False)
    document: list[dict[str, Any]] = field(repr=False)
    fact: list[dict[str, Any]] = field(repr=False)


def clinical_of(hospital: Hospital) -> Clinical:
    """Return the identified records of *hospital*, and with every first case a document of vital signs.

    These hold what the hospital's own records do not: a group of two numbers, a bound, a text as value.
    """
    made = Clinical([], [], [], [])
    for patient in hospital.patients:
        _add(made, patient)
    return made


def _add(made: Clinical, patient: Patient) -> None:
    own = patient.patient_id
    made.patient.append(
        {
            "patient": own,
            "sex": patient.sex,
            "birth": patient.birth_date.isoformat(),
            "names": [patient.name],
            "contacts": [patient.street],
        }
    )
    made.case.extend(
        {"patient": own, "case": c.case_id, "start": str(c.start), "end": str(c.end), "type": c.type}
        for c in patient.cases
    )
    documents = [*patient.documents, *([_vital_signs(patient)] if patient.cases else [])]
    made.document.extend(
        {
            "patient": own,
            "case": d.case.case_id if d.case else None,
            "document": d.document_id,
            "kind": d.kind,
            "date": d.date.isoformat(),
            "accession": d.accession_number or None,
            "text": d.text or None,
        }
        for d in documents
    )
    facts = [*patient.facts, *(_signs(documents[-1]) if patient.cases else [])]
    made.fact.extend(
        {
            "patient": own,
            "case": f.document.case.case_id if f.document.case else None,
            "document": f.document.document_id,
            "group": f"{f.document.document_id}.{f.group_id}",
            "attribute": f.attribute,
            "date": f.date.isoformat(),
            "number": f.number,
            "code": f.code or None,
            "text": f.text or None,
            "unit": f.unit or None,
        }
        for f in facts
    )


def _vital_signs(patient: Patient) -> Document:
    case = patient.cases[0]
    key = f"V{patient.documents[0].document_id}" if patient.documents else f"V{patient.patient_id}"
    return Document(patient, case, key, "vital_signs", case.start, "", "")


def _signs(document: Document) -> list[Fact]:
    low = len(document.document_id)
    return [
        Fact(document, "1", "RR_SYS", document.date, 120.0 + low, unit="mmHg"),
        Fact(document, "1", "RR_DIA", document.date, 70.5, unit="mmHg"),
        Fact(document, "2", "CRP", document.date, 0.3, text="<", unit="mg/L"),
        Fact(document, "3", "RHYTHM", document.date, text="Sinusrhythmus"),
    ]


def pseudonymised(folder: Path) -> Clinical:
    """Return the records of the four files that ``p2d identity pseudonymise`` wrote into *folder*."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for table in ("patient", "case", "document", "fact"):
        with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
            rows: list[dict[str, Any]] = [
                {k: v or None for k, v in row.items()} for row in csv.DictReader(stream)
            ]
        for row in rows:
            if table == "patient":
                row.update(birth=row.pop("birth_year"), names=[], contacts=[])
            if table == "fact" and row["number"] is not None:
                row["number"] = float(row["number"])
        tables[table] = rows
    return Clinical(**tables)


def write_native(clinical: Clinical, folder: Path, *, identified: bool) -> None:
    """Write *clinical* as P2D's own CSV: the identified form of ``INPUT``, or the pseudonymised one."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in ("patient", "case", "document", "fact"):
        columns = INPUT[f"{table}.csv"] if identified else tuple(SCHEMAS[table].names)
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            for record in getattr(clinical, table):
                writer.writerow(
                    _identified(record) if identified else {**record, "birth_year": record.get("birth")}
                )


def _identified(record: Record) -> dict[str, Any]:
    row = {_RENAMED.get(name, name): value for name, value in record.items()}
    row["name"] = next(iter(record.get("names", ())), "")
    return {name: "" if value is None else _shown(value) for name, value in row.items()}


def _shown(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


def write_persons(clinical: Clinical, path: Path) -> None:
    """Write the table of persons that ``--persons`` reads, with addresses."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", "name", "address"])
        for patient in clinical.patient:
            writer.writerow([patient["patient"], *patient["names"], " ".join(patient["contacts"])])
