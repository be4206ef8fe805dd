"""Facts and documents as FHIR resources."""

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final

from p2d.clinical.chunk import LESS_AND_MORE
from p2d.clinical.fhir.codes import OWN_SYSTEM
from p2d.warehouse.exchange.dictionary import lines
from p2d.warehouse.exchange.fhir.imaging import ACCESSION
from p2d.warehouse.exchange.workbench import Workbench

Resource = dict[str, Any]
_IS_REPORT: Final = """d.kind IN ('radiology_report', 'laboratory')
  OR d.document_key IN (SELECT document_key FROM study_document)"""
_FACTS: Final = f"""
SELECT f.*, coalesce(f."date", d."date") AS day, {_IS_REPORT} AS is_of_report
FROM fact f LEFT JOIN document d USING (document_key) ORDER BY f.patient_key, f.fact_key
"""  # noqa: S608 - constants of this module
_DOCUMENTS: Final = f"""
SELECT d.*, {_IS_REPORT} AS is_report, (SELECT list(l.study_key ORDER BY l.study_key) FROM study_document l
  WHERE l.document_key = d.document_key) AS studies
FROM document d ORDER BY d.patient_key, d.document_key
"""  # noqa: S608 - constants of this module
_PREFIXES: Final = {"ICD": "Condition", "OPS": "Procedure"}


def clinical(bench: Workbench) -> dict[str, list[Resource]]:
    """Return the facts and documents that *bench* holds, by resource type."""
    found: dict[str, list[Resource]] = {
        kind: [] for kind in ("DiagnosticReport", "DocumentReference", *_MADE)
    }
    results: dict[int, list[Resource]] = defaultdict(list)
    for row in bench.table(_FACTS).to_pylist():
        kind = _kind(row)
        found[kind].append(_MADE[kind](row))
        if row["is_of_report"] and kind == "Observation":
            results[row["document_key"]].append({"reference": f"Observation/fact-{row['fact_key']}"})
    for row in bench.table(_DOCUMENTS).to_pylist():
        if row["is_report"]:
            found["DiagnosticReport"].append(_report(row, results[row["document_key"]]))
        else:
            found["DocumentReference"].append(_document(row))
    return found


def _kind(row: Mapping[str, Any]) -> str:
    if row["number"] is None and row["code"]:
        return _PREFIXES.get(str(row["attribute"])[:3].upper(), "Observation")
    return "Observation"


def _observation(row: Mapping[str, Any]) -> Resource:
    found = _fact(row, "Observation", {"status": "final"})
    found["code"] = {
        "coding": [{"system": "urn:p2d:attribute", "code": row["attribute"]}],
        "text": row["attribute"],
    }
    found |= {"effectiveDateTime": row["day"].isoformat()} if row["day"] else {}
    if row["number"] is not None:
        number, is_bound = row["number"], row["text"] in LESS_AND_MORE
        found["valueQuantity"] = {"value": int(number) if number == int(number) else number}
        found["valueQuantity"] |= {"comparator": row["text"]} if is_bound else {}
        found["valueQuantity"] |= {"unit": row["unit"]} if row["unit"] else {}
        told = [one for one in (row["code"], None if is_bound else row["text"]) if one]
        if told:
            found["note"] = [{"text": " ".join(told)}]
    elif row["code"]:
        found["valueCodeableConcept"] = _coded(row)
    elif row["text"]:
        found["valueString"] = row["text"]
    else:
        found["dataAbsentReason"] = {"text": "not given"}
    # R4 lets an observation come of a DocumentReference, not of a DiagnosticReport, which lists it itself.
    is_derived = row["document_key"] and not row["is_of_report"]
    return found | ({"derivedFrom": [_origin(row)]} if is_derived else {})


def _condition(row: Mapping[str, Any]) -> Resource:
    found = _fact(row, "Condition", {})
    found["code"] = _coded(row)
    found |= {"evidence": [{"detail": [_origin(row)]}]} if row["document_key"] else {}
    return found | ({"recordedDate": row["day"].isoformat()} if row["day"] else {})


def _procedure(row: Mapping[str, Any]) -> Resource:
    found = _fact(row, "Procedure", {"status": "completed"})
    found["code"] = _coded(row)
    found |= {"report": [_origin(row)]} if row["document_key"] else {}
    return found | ({"performedDateTime": row["day"].isoformat()} if row["day"] else {})


_MADE: Final = {"Observation": _observation, "Condition": _condition, "Procedure": _procedure}


def _fact(row: Mapping[str, Any], kind: str, more: Resource) -> Resource:
    return {"resourceType": kind, "id": f"fact-{row['fact_key']}", **more, **_whose(row)}


def _origin(row: Mapping[str, Any]) -> Resource:
    """Return the document that a fact was read from as a reference."""
    kind = "DiagnosticReport/report" if row["is_of_report"] else "DocumentReference/document"
    return {"reference": f"{kind}-{row['document_key']}"}


def _order(row: Mapping[str, Any]) -> list[Resource]:
    """Return the order that has the document's accession number, and no resource, as a logical reference."""
    if not row["accession"]:
        return []
    identifier = {"type": {"coding": [ACCESSION]}, "system": "urn:p2d:accession", "value": row["accession"]}
    return [{"type": "ServiceRequest", "identifier": identifier}]


def _whose(row: Mapping[str, Any]) -> Resource:
    """Return patient and case of a row as references."""
    found: Resource = {"subject": {"reference": f"Patient/patient-{row['patient_key']}"}}
    if row["case_key"] is not None:
        found["encounter"] = {"reference": f"Encounter/encounter-{row['case_key']}"}
    return found


def _coded(row: Mapping[str, Any]) -> Resource:
    code = {"system": _systems().get(row["attribute"], f"{OWN_SYSTEM}{_urn(row['attribute'])}")}
    code["code"] = row["code"]
    return {"coding": [code]} | ({"text": row["text"]} if row["text"] else {})


def _urn(attribute: str) -> str:
    """Return *attribute* as it may stand in a URN."""
    return "".join(c if c.isascii() and c.isalnum() else f"%{c.encode().hex().upper()}" for c in attribute)


@cache
def _systems() -> Mapping[str, str]:
    return {row["attribute"]: row["system"] for row in lines("code_systems.tsv")}


def _report(row: Mapping[str, Any], results: Sequence[Resource]) -> Resource:
    found: Resource = {
        "resourceType": "DiagnosticReport",
        "id": f"report-{row['document_key']}",
        "identifier": [{"system": "urn:p2d:document", "value": row["document"]}],
        "status": "final",
        "code": {"text": row["kind"]},
        **_whose(row),
    }
    for name, listed in (("basedOn", _order(row)), ("result", results)):
        found |= {name: listed} if listed else {}
    if row["date"]:
        found["effectiveDateTime"] = row["date"].isoformat()
    if row["studies"]:
        found["imagingStudy"] = [{"reference": f"ImagingStudy/imagingstudy-{key}"} for key in row["studies"]]
    if row["text"]:
        found["presentedForm"] = [_attachment(row["text"])]
    return found


def _document(row: Mapping[str, Any]) -> Resource:
    whose = _whose(row)
    context: Resource = {"encounter": [whose["encounter"]]} if "encounter" in whose else {}
    context |= {"related": related} if (related := _order(row)) else {}
    day: date | None = row["date"]
    if day:
        context["period"] = {"start": day.isoformat(), "end": day.isoformat()}
    found: Resource = {
        "resourceType": "DocumentReference",
        "id": f"document-{row['document_key']}",
        "identifier": [{"system": "urn:p2d:document", "value": row["document"]}],
        "status": "current",
        "type": {"text": row["kind"]},
        "subject": whose["subject"],
        "content": [{"attachment": _attachment(row["text"] or "")}],
    }
    return found | ({"context": context} if context else {})


def _attachment(text: str) -> Resource:
    found: Resource = {"contentType": "text/plain; charset=utf-8", "language": "de"}
    return found | ({"data": base64.b64encode(text.encode()).decode("ascii")} if text else {})
