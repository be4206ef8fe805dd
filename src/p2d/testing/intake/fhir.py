"""Clinical records as FHIR R4: patients and encounters in a Bundle, everything else as NDJSON."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from p2d.testing.intake.records import Clinical, Record

_SYSTEMS: Final = {
    "ICD10": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "OPS": "http://fhir.de/CodeSystem/bfarm/ops",
}
_ACSN: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
_LOCAL: Final = "https://example.org/kinds"
Resource = dict[str, Any]


def write_fhir(clinical: Clinical, folder: Path) -> None:
    """Write *clinical* into *folder*; logical ids are counted, identifiers hold the records' own ids."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = _Ids(clinical)
    people = [_patient(p, ids) for p in clinical.patient] + [_encounter(c, ids) for c in clinical.case]
    entries = [{"fullUrl": f"urn:p2d:{r['resourceType']}:{r['id']}", "resource": r} for r in people]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    (folder / "people.json").write_text(json.dumps(bundle, ensure_ascii=False), encoding="utf-8")
    facts = _facts(clinical, ids)
    documents = [r for d in clinical.document for r in _document(d, ids)]
    for name, resources in (("clinical", facts), ("documents", documents)):
        lines = [json.dumps(resource, ensure_ascii=False) for resource in resources]
        (folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")


class _Ids:
    """Logical ids of everything that is referred to."""

    def __init__(self, clinical: Clinical) -> None:
        self.patients = {p["patient"]: f"p{n}" for n, p in enumerate(clinical.patient)}
        self.cases = {c["case"]: f"e{n}" for n, c in enumerate(clinical.case)}
        self.documents = {d["document"]: f"d{n}" for n, d in enumerate(clinical.document)}
        self.results: dict[str, list[str]] = {}

    def place(self, record: Record) -> Resource:
        """Return the references to patient and case."""
        made: Resource = {"subject": {"reference": f"Patient/{self.patients[record['patient']]}"}}
        if record["case"]:
            made["encounter"] = {"reference": f"urn:p2d:Encounter:{self.cases[record['case']]}"}
        return made


def _patient(patient: Record, ids: _Ids) -> Resource:
    made: Resource = {
        "resourceType": "Patient",
        "id": ids.patients[patient["patient"]],
        "identifier": [{"type": {"coding": [{"code": "MR"}]}, "value": patient["patient"]}],
        "gender": {"M": "male", "F": "female"}[patient["sex"]],
        "birthDate": patient["birth"],
    }
    if patient["names"]:
        family, _, given = patient["names"][0].partition("^")
        made["name"] = [{"family": family, "given": [given]}]
        made["address"] = [{"line": patient["contacts"]}]
    return made


def _encounter(case: Record, ids: _Ids) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": ids.cases[case["case"]],
        "identifier": [{"type": {"coding": [{"code": "VN"}]}, "value": case["case"]}],
        "status": "finished",
        "class": {"code": {"inpatient": "IMP", "outpatient": "AMB"}[case["type"]]},
        "subject": {"reference": f"Patient/{ids.patients[case['patient']]}"},
        "period": {"start": f"{case['start']}T08:30:00+01:00", "end": case["end"]},
    }


def _document(document: Record, ids: _Ids) -> list[Resource]:
    """Return a report with its results, a letter, or a composition; a radiology report with its order."""
    own = ids.documents[document["document"]]
    made: Resource = {
        "id": own,
        "identifier": [{"value": document["document"]}],
        "status": "final",
        **ids.place(document),
    }
    kind = {"coding": [{"system": _LOCAL, "code": document["kind"]}]}
    attachment = {"contentType": "text/plain; charset=utf-8", "data": _base64(document["text"])}
    if document["kind"] == "discharge_letter":
        encounter = made.pop("encounter", None)
        context: Resource = {"period": {"start": document["date"]}}
        if encounter:
            context["encounter"] = [encounter]
        made.update(resourceType="DocumentReference", type=kind, context=context)
        made["content"] = [{"attachment": attachment}]
        return [made]
    made.update(resourceType="DiagnosticReport", code=kind, effectiveDateTime=document["date"])
    made["result"] = [
        {"reference": f"Observation/{one}"} for one in ids.results.get(document["document"], ())
    ]
    if document["text"]:
        made["presentedForm"] = [attachment]
    if not document["accession"]:
        return [made]
    order = {
        "resourceType": "ServiceRequest",
        "id": f"o{own}",
        "identifier": [{"type": _ACSN, "value": document["accession"]}],
    }
    made["basedOn"] = [{"reference": f"ServiceRequest/o{own}"}]
    return [made, order]


def _facts(clinical: Clinical, ids: _Ids) -> list[Resource]:
    made: list[Resource] = []
    groups: dict[tuple[str, str], Resource] = {}
    kinds = {d["document"]: d["kind"] for d in clinical.document}
    for number, fact in enumerate(clinical.fact):
        document = ids.documents[fact["document"]]
        type_of_document = (
            "DocumentReference" if kinds[fact["document"]] == "discharge_letter" else "DiagnosticReport"
        )
        link = {"reference": f"{type_of_document}/{document}"}
        if fact["code"]:
            coding = {"system": _SYSTEMS[fact["attribute"]], "code": fact["code"], "display": fact["text"]}
            resource: Resource = {"id": f"f{number}", "code": {"coding": [coding]}, **ids.place(fact)}
            if fact["attribute"] == "ICD10":
                resource.update(
                    resourceType="Condition", recordedDate=fact["date"], evidence=[{"detail": [link]}]
                )
            else:
                resource.update(resourceType="Procedure", performedDateTime=fact["date"], report=[link])
            made.append(resource)
            continue
        value = {"code": {"coding": [{"system": _LOCAL, "code": fact["attribute"]}]}, **_value(fact)}
        place = (fact["document"], fact["group"])
        if place in groups:
            groups[place].setdefault("component", []).append(value)
            continue
        ids.results.setdefault(fact["document"], []).append(f"f{number}")
        resource = {"resourceType": "Observation", "id": f"f{number}", "status": "final", **ids.place(fact)}
        clock = f"T{fact['time']}+01:00" if fact.get("time") else ""
        groups[place] = resource | {"effectiveDateTime": f"{fact['date']}{clock}", **value}
        made.append(groups[place])
    return made


def _value(fact: Mapping[str, Any]) -> Resource:
    if fact["number"] is None:
        return {"valueString": fact["text"]}
    quantity = {"value": fact["number"], "unit": fact["unit"]}
    return {"valueQuantity": quantity | ({"comparator": fact["text"]} if fact["text"] else {})}


def _base64(text: str | None) -> str:
    return base64.b64encode((text or "").encode()).decode()
