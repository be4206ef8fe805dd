"""Clinical records as CSV files of an i2b2 star."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from p2d.clinical.i2b2 import ACCESSION_MODIFIER, DOCUMENT_MODIFIER
from p2d.testing.intake.records import Clinical
from p2d.testing.intake.tabular import write_rows

_OPERATORS: Final = {"<": "L", "<=": "LE", ">": "G", ">=": "GE", None: "E"}
_NO_ENCOUNTER: Final = -1


class _Star:
    """Tables while they are filled."""

    def __init__(self, clinical: Clinical) -> None:
        self.patients = {p["patient"]: n for n, p in enumerate(clinical.patient, 1)}
        self.encounters = {c["case"]: n for n, c in enumerate(clinical.case, 1)}
        self.facts: list[dict[str, Any]] = []
        self.concepts: dict[str, str] = {}
        self._instances: dict[tuple[Any, ...], int] = {}

    def instance(self, record: Mapping[str, Any], concept: str) -> dict[str, Any]:
        """Return the keys of a new observation of *concept*."""
        encounter = self.encounters.get(record["case"], _NO_ENCOUNTER)
        start = f"{record['date']} {record.get('time') or '00:00:00'}"
        key = (encounter, self.patients[record["patient"]], concept, start)
        number = self._instances[key] = self._instances.get(key, 0) + 1
        return {
            "encounter_num": encounter,
            "patient_num": key[1],
            "concept_cd": concept,
            "provider_id": "@",
            "start_date": start,
            "instance_num": number,
        }

    def add(self, keys: Mapping[str, Any], modifier: str = "@", **row: Any) -> None:
        blank = {"valtype_cd": "", "tval_char": "", "nval_num": "", "units_cd": "", "observation_blob": ""}
        self.facts.append({**keys, "modifier_cd": modifier, **blank, **row})


def write_i2b2(clinical: Clinical, folder: Path) -> None:
    """Write *clinical* into *folder*, one file a table; the mapping tables hold the records' own ids."""
    folder.mkdir(parents=True, exist_ok=True)
    star = _Star(clinical)
    patients, encounters = star.patients, star.encounters
    tables: dict[str, list[dict[str, Any]]] = {
        "patient_dimension": [
            {
                "patient_num": patients[p["patient"]],
                "sex_cd": p["sex"],
                "birth_date": f"{p['birth'] if '-' in p['birth'] else p['birth'] + '-01-01'} 00:00:00",
            }
            for p in clinical.patient
        ],
        "patient_mapping": [
            {"patient_ide": own, "patient_ide_source": "KIS", "patient_num": n} for own, n in patients.items()
        ],
        "visit_dimension": [
            {
                "encounter_num": encounters[c["case"]],
                "patient_num": patients[c["patient"]],
                "start_date": f"{c['start']} 00:00:00",
                "end_date": f"{c['end']} 00:00:00",
                "inout_cd": {"inpatient": "I", "outpatient": "O"}[c["type"]],
            }
            for c in clinical.case
        ],
        "encounter_mapping": [{"encounter_ide": own, "encounter_num": n} for own, n in encounters.items()],
    }
    _add_observations(star, clinical)
    tables["observation_fact"] = star.facts
    tables["concept_dimension"] = [
        {"concept_path": f"\\{code}\\", "concept_cd": code, "name_char": name}
        for code, name in star.concepts.items()
    ]
    for table, rows in tables.items():
        write_rows(folder / f"{table}.csv", rows)


def _add_observations(star: _Star, clinical: Clinical) -> None:
    for document in clinical.document:
        keys = star.instance(document, f"DOC:{document['kind']}")
        star.add(keys, valtype_cd="B", observation_blob=document["text"] or "")
        star.add(keys, DOCUMENT_MODIFIER, valtype_cd="T", tval_char=document["document"])
        if document["accession"]:
            star.add(keys, ACCESSION_MODIFIER, valtype_cd="T", tval_char=document["accession"])
    groups: dict[tuple[str, str], Mapping[str, Any]] = {}
    for fact in clinical.fact:
        if fact["code"]:
            concept = f"{fact['attribute']}:{fact['code']}"
            star.concepts[concept] = fact["text"]
            value: dict[str, Any] = {"valtype_cd": "@"}
        else:
            concept = f"LAB:{fact['attribute']}"
            value = _value(fact)
        place = (fact["document"], fact["group"])
        if place in groups:
            star.add(groups[place], f"MOD:{fact['attribute']}", **value)
            continue
        keys = groups[place] = star.instance(fact, concept)
        star.add(keys, **value)
        star.add(keys, DOCUMENT_MODIFIER, valtype_cd="T", tval_char=fact["document"])


def _value(fact: Mapping[str, Any]) -> dict[str, Any]:
    if fact["number"] is None:
        return {"valtype_cd": "T", "tval_char": fact["text"]}
    return {
        "valtype_cd": "N",
        "tval_char": _OPERATORS[fact["text"]],
        "nval_num": repr(fact["number"]),
        "units_cd": fact["unit"],
    }
