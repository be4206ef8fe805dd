"""Clinical records as CSV files of the OMOP CDM 5.4, linked by fact_relationship."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from p2d.clinical.omop import ACCESSION
from p2d.testing.intake.records import Clinical
from p2d.testing.intake.tabular import write_rows

_NOTE: Final = 5085
_DOMAINS: Final = {
    "condition_occurrence": 19,
    "procedure_occurrence": 10,
    "measurement": 21,
    "observation": 27,
}
_OPERATORS: Final = {"<": 4171756, "<=": 4171754, ">": 4172704, ">=": 4171755}


class _Cdm:
    """Tables while they are filled."""

    def __init__(self, clinical: Clinical) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.persons = {p["patient"]: n for n, p in enumerate(clinical.patient, 1)}
        self.visits = {c["case"]: n for n, c in enumerate(clinical.case, 1001)}
        self.notes = {d["document"]: n for n, d in enumerate(clinical.document, 5001)}
        self.concepts: dict[tuple[str, str], int] = {}

    def add(self, table: str, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def concept(self, vocabulary: str, code: str, name: str | None) -> int:
        """Return the id of a concept of a local vocabulary, made on first use."""
        number = self.concepts.get((vocabulary, code))
        if number is None:
            number = self.concepts[vocabulary, code] = 2_000_000_001 + len(self.concepts)
            self.add(
                "concept", concept_id=number, concept_name=name, vocabulary_id=vocabulary, concept_code=code
            )
        return number

    def relate(self, domain: int, fact: int, other_domain: int, other: int) -> None:
        """Relate two facts, in both directions as the model has it."""
        for one in ((domain, fact, other_domain, other), (other_domain, other, domain, fact)):
            columns = ("domain_concept_id_1", "fact_id_1", "domain_concept_id_2", "fact_id_2")
            self.add("fact_relationship", **dict(zip(columns, one, strict=True)), relationship_concept_id=0)


def write_omop(clinical: Clinical, folder: Path) -> None:
    """Write *clinical* into *folder* with a mapping; source values are the records' own ids."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mapping.toml").write_text('version = 1\n[omop]\nnote_key = "note_source_value"\n')
    cdm = _Cdm(clinical)
    for patient in clinical.patient:
        year, month, day = (*str(patient["birth"]).split("-"), "", "")[:3]
        cdm.add(
            "person",
            person_id=cdm.persons[patient["patient"]],
            gender_concept_id={"M": 8507, "F": 8532}[patient["sex"]],
            year_of_birth=year,
            month_of_birth=month.lstrip("0"),
            day_of_birth=day.lstrip("0"),
            person_source_value=patient["patient"],
        )
    for case in clinical.case:
        cdm.add(
            "visit_occurrence",
            visit_occurrence_id=cdm.visits[case["case"]],
            person_id=cdm.persons[case["patient"]],
            visit_concept_id={"inpatient": 9201, "outpatient": 9202}[case["type"]],
            visit_start_date=case["start"],
            visit_start_datetime=f"{case['start']} 00:00:00",
            visit_end_date=case["end"],
            visit_source_value=case["case"],
        )
    _add_notes(cdm, clinical)
    groups: dict[tuple[str, int], int] = {}
    for number, fact in enumerate(clinical.fact, 100_001):
        _add_fact(cdm, number, fact, groups)
    for table, rows in cdm.tables.items():
        write_rows(folder / f"{table}.csv", rows)


def _add_notes(cdm: _Cdm, clinical: Clinical) -> None:
    for number, document in enumerate(clinical.document, 900_001):
        note = cdm.notes[document["document"]]
        cdm.add(
            "note",
            note_id=note,
            person_id=cdm.persons[document["patient"]],
            note_date=document["date"],
            note_title=document["kind"],
            note_text=document["text"] or "",
            visit_occurrence_id=cdm.visits.get(document["case"], ""),
            note_source_value=document["document"],
        )
        if document["accession"]:
            _add_event(cdm, "observation", number, document, ACCESSION)
            cdm.tables["observation"][-1]["value_as_string"] = document["accession"]


def _add_fact(cdm: _Cdm, number: int, fact: Mapping[str, Any], groups: dict[tuple[str, int], int]) -> None:
    if fact["attribute"] == "ICD10":
        _add_event(cdm, "condition_occurrence", number, fact, fact["code"])
    elif fact["attribute"] == "OPS":
        _add_event(cdm, "procedure_occurrence", number, fact, fact["code"])
    elif fact["number"] is not None:
        _add_event(cdm, "measurement", number, fact, fact["attribute"])
        cdm.tables["measurement"][-1].update(
            value_as_number=repr(fact["number"]),
            unit_source_value=fact["unit"],
            operator_concept_id=_OPERATORS.get(fact["text"], ""),
        )
    else:
        _add_event(cdm, "observation", number, fact, fact["attribute"])
        cdm.tables["observation"][-1]["value_as_string"] = fact["text"]
    first = groups.setdefault((fact["document"], fact["group"]), number)
    if first != number:
        cdm.relate(_DOMAINS["measurement"], first, _DOMAINS["measurement"], number)


def _add_event(cdm: _Cdm, table: str, number: int, record: Mapping[str, Any], code: str) -> None:
    stem = table.split("_", maxsplit=1)[0]
    start = "condition_start" if stem == "condition" else stem
    vocabulary = {"condition": "ICD10GM", "procedure": "OPS"}.get(stem)
    source = cdm.concept(vocabulary, code, record["text"]) if vocabulary else 0
    more: dict[str, Any] = {}
    if table == "measurement":
        more = {"value_as_number": "", "unit_source_value": "", "operator_concept_id": ""}
    if table == "observation":
        more = {"value_as_string": ""}
    cdm.add(
        table,
        **{
            f"{table}_id": number,
            "person_id": cdm.persons[record["patient"]],
            f"{stem}_concept_id": 0,
            f"{start}_date": record["date"],
            f"{start}_datetime": f"{record['date']} {record.get('time') or '00:00:00'}",
            f"{stem}_source_value": code,
            f"{stem}_source_concept_id": source,
            "visit_occurrence_id": cdm.visits.get(record["case"], ""),
            **more,
        },
    )
    cdm.relate(_NOTE, cdm.notes[record["document"]], _DOMAINS[table], number)
