"""The clinical side as identified CSV files, UTF-8 with a header: what a hospital's own export looks like."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from p2d.testing.hospital.nouns import Case, Patient

COLUMNS: Final = {
    "patient": ("patient_id", "name", "sex", "birth_date"),
    "case": ("patient_id", "case_id", "start", "end", "type"),
    "document": ("patient_id", "case_id", "document_id", "kind", "date", "accession_number", "text"),
    "fact": (
        "patient_id",
        "case_id",
        "document_id",
        "group_id",
        "attribute",
        "date",
        "number",
        "code",
        "text",
        "unit",
    ),
}
Cells = tuple[str, ...]


def write_clinical(patients: Sequence[Patient], folder: Path) -> None:
    """Write ``patient.csv case.csv document.csv fact.csv`` into *folder*, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = {"patient": _patients, "case": _cases, "document": _documents, "fact": _facts}
    for table, make in lines.items():
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS[table])
            writer.writerows(make(patients))


def _patients(patients: Sequence[Patient]) -> Iterable[Cells]:
    return ((p.patient_id, p.name, p.sex, p.birth_date.isoformat()) for p in patients)


def _cases(patients: Sequence[Patient]) -> Iterable[Cells]:
    return (
        (p.patient_id, c.case_id, c.start.isoformat(), c.end.isoformat(), c.type)
        for p in patients
        for c in p.cases
    )


def _documents(patients: Sequence[Patient]) -> Iterable[Cells]:
    return (
        (p.patient_id, _id(d.case), d.document_id, d.kind, d.date.isoformat(), d.accession_number, d.text)
        for p in patients
        for d in p.documents
    )


def _facts(patients: Sequence[Patient]) -> Iterable[Cells]:
    for patient in patients:
        for fact in patient.facts:
            document = fact.document
            number = "" if fact.number is None else f"{fact.number:g}"
            yield (
                patient.patient_id,
                _id(document.case),
                document.document_id,
                fact.group_id,
                fact.attribute,
                fact.date.isoformat(),
                number,
                fact.code,
                fact.text,
                fact.unit,
            )


def _id(case: Case | None) -> str:
    return case.case_id if case else ""
