"""FHIR R4 as NDJSON: one file a resource type, ImagingStudy first among them; pseudonyms only.

Ids are made of the warehouse's keys, so that they hold no identifier and stay the same from export to export.
Times of day are left out: FHIR wants their time zone, and the warehouse has none. Series carry the extensions
of the MII imaging module (2027 ballot) by modality; the profile itself is not claimed, because it wants body
sites and lateralities in SNOMED CT.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from p2d.clinical.fhir.codes import NULL_FLAVOR
from p2d.warehouse.exchange.acquisition import acquisition
from p2d.warehouse.exchange.columns import imaging_columns
from p2d.warehouse.exchange.fhir.clinical import clinical
from p2d.warehouse.exchange.fhir.imaging import endpoint, imaging_studies
from p2d.warehouse.exchange.form import Rows, empty
from p2d.warehouse.exchange.source import Source
from p2d.warehouse.exchange.workbench import Workbench

_SEX: Final = {"M": "male", "F": "female", "W": "female", "D": "other", "O": "other"}
_CLASS: Final = {
    "inpatient": ("IMP", "inpatient encounter"),
    "outpatient": ("AMB", "ambulatory"),
    "emergency": ("EMER", "emergency"),
}
_ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
Resource = dict[str, Any]


class Fhir:
    """The form ``fhir``; *instances* lists every image, *dicomweb* is the address of an Endpoint."""

    name = "fhir"

    def __init__(self, *, instances: bool = False, dicomweb: str | None = None) -> None:
        self._instances = instances
        self._dicomweb = dicomweb
        self._acquisition = ""

    def begin(self, bench: Workbench, source: Source) -> Iterator[Rows]:
        """Yield the empty files and the endpoint."""
        del bench
        self._acquisition = acquisition(imaging_columns(source.columns()))
        yield from empty(self.name)
        if self._dicomweb is not None:
            yield _lines("Endpoint", [endpoint(self._dicomweb)])

    def part(self, bench: Workbench) -> Iterator[Rows]:
        """Yield the resources of the patients that *bench* holds."""
        bench.run(self._acquisition)
        yield _lines("Patient", map(_patient, _rows(bench, "SELECT * FROM patient ORDER BY patient_key")))
        cases = _rows(bench, "SELECT * FROM clinical_case ORDER BY patient_key, case_key")
        yield _lines("Encounter", map(_encounter, cases))
        has_endpoint = self._dicomweb is not None
        studies = imaging_studies(bench, instances=self._instances, has_endpoint=has_endpoint)
        yield _lines("ImagingStudy", studies)
        for kind, found in clinical(bench).items():
            yield _lines(kind, found)

    def end(self, bench: Workbench) -> Iterator[Rows]:
        """Yield nothing more."""
        del bench
        yield from ()


def _rows(bench: Workbench, statement: str) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = bench.table(statement).to_pylist()
    return rows


def _lines(kind: str, resources: Iterable[Resource]) -> Rows:
    """Return *resources* as the lines of their type's file."""
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for one in resources]
    return kind, pa.table({"resource": pa.array(lines, pa.string())})


def _patient(row: Mapping[str, Any]) -> Resource:
    found: Resource = {
        "resourceType": "Patient",
        "id": f"patient-{row['patient_key']}",
        "identifier": [{"system": "urn:p2d:patient", "value": row["patient"]}],
        "gender": _SEX.get(str(row["sex"]).upper(), "unknown"),
    }
    if row["birth_year"]:
        found["birthDate"] = f"{row['birth_year']:04d}"
    return found


def _encounter(row: Mapping[str, Any]) -> Resource:
    code, display = _CLASS.get(str(row["type"]), ("UNK", "unknown"))
    found: Resource = {
        "resourceType": "Encounter",
        "id": f"encounter-{row['case_key']}",
        "identifier": [{"system": "urn:p2d:case", "value": row["case"]}],
        "status": "finished" if row["end"] else "unknown",
        "class": {"system": NULL_FLAVOR if code == "UNK" else _ACT_CODE, "code": code, "display": display},
        "subject": {"reference": f"Patient/patient-{row['patient_key']}"},
    }
    period = {edge: row[edge].isoformat() for edge in ("start", "end") if row[edge]}
    return found | ({"period": period} if period else {})
