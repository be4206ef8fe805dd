"""Compare every clinical row of a warehouse, and its links to studies, with the synthetic hospital.

As in ``p2d.testing.comparison`` the expectation is plain Python over the truth and identity's keys, and a
difference is a sentence of table, pseudonym and column names.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final

from p2d.identity.port import Domain
from p2d.model.identified import CaseStay, PatientId
from p2d.testing.comparison import Database, Truth
from p2d.testing.hospital.nouns import Case, Document, Study

_OLDEST: Final = 90  # years; nobody in the warehouse is born earlier
_SHORTEST_NAME: Final = 4  # a shorter part of a name may stand in ordinary text
_PATIENTS: Final = "SELECT patient, sex, birth_year FROM patient"
_CASES: Final = """
    SELECT c."case", p.patient, c."start", c."end", c."type"
    FROM clinical_case c JOIN patient p USING (patient_key)"""
_DOCUMENTS: Final = """
    SELECT d.document, p.patient, c."case", d.kind, d."date", d.accession, coalesce(d."text", '')
    FROM document d JOIN patient p USING (patient_key) LEFT JOIN clinical_case c USING (case_key)"""
_FACTS: Final = """
    SELECT d.document, f."group", p.patient, c."case", f.attribute, f."date", f."number",
      coalesce(f.code, ''), coalesce(f."text", ''), coalesce(f.unit, '')
    FROM fact f JOIN patient p USING (patient_key) LEFT JOIN document d USING (document_key)
    LEFT JOIN clinical_case c ON c.case_key = f.case_key"""
_REPORTS: Final = """
    SELECT s.study, d.document FROM study_document l
    JOIN study s USING (study_key) JOIN document d USING (document_key)"""
_LINKS: Final = """
    SELECT s.study, c."case", s.link_method
    FROM study s LEFT JOIN clinical_case c USING (case_key)"""


def clinical_differences(db: Database, truth: Truth, today: date) -> list[str]:
    """Compare patients, cases, documents, facts, reports of studies and cases of studies with the truth.

    *today* is the day on which the clinical files were pseudonymised; all studies must be extracted.
    """
    asked: dict[str, tuple[str, Iterable[tuple[Any, ...]]]] = {
        "patient": (_PATIENTS, _patients(truth, today)),
        "case": (_CASES, _cases(truth)),
        "document": (_DOCUMENTS, _documents(truth)),
        "fact": (_FACTS, _facts(truth)),
        "study and report": (_REPORTS, _reports(truth)),
        "study and case": (_LINKS, _links(truth)),
    }
    return [
        difference
        for table, (sql, expected) in asked.items()
        for difference in _compared(table, db.execute(sql).fetchall(), list(expected), truth)
    ]


def _compared(
    table: str, rows: list[tuple[Any, ...]], expected: list[tuple[Any, ...]], truth: Truth
) -> Iterator[str]:
    if table == "document":
        yield from _named(rows, truth)
        rows = [(*row[:-1], bool(row[-1])) for row in rows]  # how texts are cleaned is tested elsewhere
        expected = [(*row[:-1], bool(row[-1])) for row in expected]
    if len(rows) != len(expected):
        yield f"{table}: {len(rows)} rows instead of {len(expected)}"
    for row in sorted(set(rows) ^ set(expected), key=str):
        yield f"{table} {row[0]}: {'row without truth' if row in rows else 'no such row'}"


def _named(rows: list[tuple[Any, ...]], truth: Truth) -> Iterator[str]:
    own = {
        truth.patient(p): {w for w in re.findall(r"\w+", p.name.casefold()) if len(w) >= _SHORTEST_NAME}
        for p in truth.hospital.patients
    }
    for row in rows:
        if own[row[1]] & set(re.findall(r"\w+", row[-1].casefold())):
            yield f"document {row[0]}: names its patient"


def _case(truth: Truth, case: Case | None) -> str | None:
    if case is None:
        return None
    stay = CaseStay(case.case_id, PatientId(case.patient.patient_id), case.start, case.end)
    return str(truth.table.pseudonymise(Domain.CASE, [stay], create=False)[0])


def _patients(truth: Truth, today: date) -> Iterator[tuple[Any, ...]]:
    for patient in truth.hospital.patients:
        year = max(truth.day(patient, patient.birth_date).year, today.year - _OLDEST)
        yield str(truth.patient(patient)), patient.sex, year


def _cases(truth: Truth) -> Iterator[tuple[Any, ...]]:
    for patient in truth.hospital.patients:
        for case in patient.cases:
            days = truth.day(patient, case.start), truth.day(patient, case.end)
            yield _case(truth, case), str(truth.patient(patient)), *days, case.type


def _document(truth: Truth, document: Document) -> str:
    return truth.uid(f"document:{document.document_id}")


def _documents(truth: Truth) -> Iterator[tuple[Any, ...]]:
    for patient in truth.hospital.patients:
        for one in patient.documents:
            ids = _document(truth, one), str(truth.patient(patient)), _case(truth, one.case)
            yield (
                *ids,
                one.kind,
                truth.day(patient, one.date),
                truth.accession(one.accession_number),
                one.text,
            )


def _facts(truth: Truth) -> Iterator[tuple[Any, ...]]:
    for patient in truth.hospital.patients:
        for fact in patient.facts:
            ids = _document(truth, fact.document), truth.uid(f"group:{fact.group_id}")
            whose = str(truth.patient(patient)), _case(truth, fact.document.case)
            value = None if fact.number is None else float(f"{fact.number:g}")
            said = fact.code, fact.text, fact.unit
            yield *ids, *whose, fact.attribute, truth.day(patient, fact.date), value, *said


def _reports_of(study: Study) -> list[Document]:
    number = study.accession_number
    return [one for one in study.patient.documents if number and one.accession_number == number]


def _reports(truth: Truth) -> Iterator[tuple[Any, ...]]:
    for study in truth.hospital.studies():
        for one in _reports_of(study):
            yield truth.uid(study.study_instance_uid), _document(truth, one)


def _links(truth: Truth) -> Iterator[tuple[Any, ...]]:
    """By accession where its reports name one case, else by AdmissionID, else by time, else none."""
    for study in truth.hospital.studies():
        cases = study.patient.cases
        told = {
            "accession": {one.case for one in _reports_of(study) if one.case},
            "admission": {case for case in cases if case.case_id == study.admission_id},
            "time": {case for case in cases if case.start <= study.date <= case.end},
        }
        method = next((name for name, found in told.items() if len(found) == 1), "none")
        case = next(iter(told[method])) if method in told else None
        yield truth.uid(study.study_instance_uid), _case(truth, case), method
