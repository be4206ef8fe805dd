"""Studies, series and images as FHIR ImagingStudy."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from p2d.warehouse.exchange.acquisition import parameters
from p2d.warehouse.exchange.dictionary import lines
from p2d.warehouse.exchange.workbench import Workbench

Resource = dict[str, Any]
Row = Mapping[str, Any]
MII: Final = "https://www.medizininformatik-initiative.de/fhir/ext/modul-bildgebung/StructureDefinition/mii-ex-bildgebung-"
ACCESSION: Final[Resource] = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}
"""The type of an identifier that is an accession number."""
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_UCUM: Final = "http://unitsofmeasure.org"
_ENDPOINT: Final = "dicomweb"
_LARGEST: Final = 2**31 - 1
_STUDIES: Final = "SELECT * FROM study ORDER BY patient_key, study_key"
_SERIES: Final = """
SELECT e.*, coalesce(e."NumberOfSeriesRelatedInstances", (SELECT count(*) FROM instance i
  WHERE i.series_key = e.series_key)) AS images
FROM series e ORDER BY e.study_key, e."SeriesNumber" NULLS LAST, e.series
"""
_INSTANCES: Final = """
SELECT series_key, instance, "SOPClassUID", "InstanceNumber" FROM instance
ORDER BY series_key, "InstanceNumber" NULLS LAST, instance
"""


def endpoint(address: str) -> Resource:
    """Return the gateway's DICOMweb at *address* as an Endpoint."""
    return {
        "resourceType": "Endpoint",
        "id": _ENDPOINT,
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "dicom-wado-rs",
        },
        "payloadType": [{"text": "DICOM"}],
        "address": address,
    }


def imaging_studies(bench: Workbench, *, instances: bool, has_endpoint: bool) -> Iterator[Resource]:
    """Yield the studies that *bench* holds; it has the table ``acquisition``."""
    series: dict[int, list[Row]] = defaultdict(list)
    for row in bench.table(_SERIES).to_pylist():
        series[row["study_key"]].append(row)
    images: dict[int, list[Row]] = defaultdict(list)
    for row in bench.table(_INSTANCES).to_pylist() if instances else ():
        images[row["series_key"]].append(row)
    acquired: dict[int, dict[str, Row]] = defaultdict(dict)
    for row in bench.table("SELECT * FROM acquisition").to_pylist():
        acquired[row["series_key"]][row["keyword"]] = row
    for study in bench.table(_STUDIES).to_pylist():
        found = _study(study, series[study["study_key"]])
        if has_endpoint:
            found["endpoint"] = [{"reference": f"Endpoint/{_ENDPOINT}"}]
        listed = [
            _series(row, acquired[row["series_key"]], images[row["series_key"]])
            for row in series[study["study_key"]]
        ]
        yield found | ({"series": listed} if listed else {})


def _study(row: Row, series: Sequence[Row]) -> Resource:
    found: Resource = {
        "resourceType": "ImagingStudy",
        "id": f"imagingstudy-{row['study_key']}",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{row['study']}"}],
        "status": "available",
        "subject": {"reference": f"Patient/patient-{row['patient_key']}"},
        "numberOfSeries": len(series),
        "numberOfInstances": sum(one["images"] for one in series),
    }
    if row["accession"]:
        accession = {
            "type": {"coding": [ACCESSION]},
            "system": "urn:p2d:accession",
            "value": row["accession"],
        }
        found["identifier"].append(accession)
    listed = (row["ModalitiesInStudy"] or "").split("\\")
    modalities = sorted({one for one in (*listed, *(s["Modality"] for s in series)) if one})
    found |= {"modality": [_modality(one) for one in modalities]} if modalities else {}
    if row["case_key"] is not None:
        found["encounter"] = {"reference": f"Encounter/encounter-{row['case_key']}"}
    found |= {"started": row["StudyDate"].isoformat()} if row["StudyDate"] else {}
    return found | ({"description": row["StudyDescription"]} if row["StudyDescription"] else {})


def _series(row: Row, acquired: Mapping[str, Row], images: Sequence[Row]) -> Resource:
    modality = row["Modality"] or "OT"
    extensions = list(_extensions(modality, acquired))
    found: Resource = {"extension": extensions} if extensions else {}
    found |= {"uid": row["series"], "modality": _modality(modality), "numberOfInstances": row["images"]}
    found |= {"number": row["SeriesNumber"]} if _is_unsigned(row["SeriesNumber"]) else {}
    found |= {"description": row["SeriesDescription"]} if row["SeriesDescription"] else {}
    found |= {"bodySite": {"display": row["BodyPartExamined"]}} if row["BodyPartExamined"] else {}
    found |= {"started": row["SeriesDate"].isoformat()} if row["SeriesDate"] else {}
    return found | ({"instance": [_instance(one) for one in images]} if images else {})


def _instance(row: Row) -> Resource:
    uid = row["SOPClassUID"]
    sop_class = {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{uid}"} if uid else _UNKNOWN
    found: Resource = {"uid": row["instance"], "sopClass": sop_class}
    return found | ({"number": row["InstanceNumber"]} if _is_unsigned(row["InstanceNumber"]) else {})


_UNKNOWN: Final[Resource] = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    ]
}
"""FHIR wants a class of every image, and a C-FIND answer need not tell it."""


def _modality(code: str) -> Resource:
    return {"system": _DCM, "code": code.strip().replace(" ", "_") or "OT"}


def _is_unsigned(number: int | None) -> bool:
    return number is not None and 0 <= number <= _LARGEST


def _extensions(modality: str, acquired: Mapping[str, Row]) -> Iterator[Resource]:
    """Yield the MII extensions of a series of *modality* whose values are known."""
    parts: dict[str, list[Resource]] = defaultdict(list)
    for row in _mii():
        known = acquired.get(row["keyword"])
        if known is None or (row["modality"] != "*" and modality not in row["modality"].split()):
            continue
        value = _value(row, known)
        if value is None:
            continue
        if row["element"]:
            parts[row["extension"]].append({"url": row["element"], **value})
        else:
            yield {"url": f"{MII}{row['extension']}", **value}
    for extension, inner in parts.items():
        yield {"url": f"{MII}{extension}", "extension": inner}
    if "ContrastBolusAgent" in acquired:
        yield {
            "url": f"{MII}kontrastmittel",
            "extension": [
                {"url": "contrastBolus", "valueBoolean": bool(acquired["ContrastBolusAgent"]["value"])}
            ],
        }


def _value(row: Mapping[str, str], known: Row) -> Resource | None:
    if row["kind"] == "string":
        return {"valueString": known["value"]} if known["value"] else None
    if known["number"] is None:
        return None
    ucum, unit = _units()[row["keyword"]]
    number = int(known["number"]) if known["number"] == int(known["number"]) else known["number"]
    return {"valueQuantity": {"value": number, "unit": unit, "system": _UCUM, "code": ucum}}


@cache
def _units() -> Mapping[str, tuple[str, str]]:
    return {row["keyword"]: (row["ucum"], row["unit"]) for row in parameters().to_pylist()}


@cache
def _mii() -> tuple[Mapping[str, str], ...]:
    return tuple(lines("mii.tsv"))
