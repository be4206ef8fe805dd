"""FHIR: every line is a valid R4 resource, references resolve, numbers agree, pseudonyms only."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from p2d.testing.exchanging import Rows, exported, filled, small_hospital
from p2d.testing.hospital import generate
from p2d.testing.hospital.pseudonymised import pseudonymised
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.exchange.dictionary import layouts
from p2d.warehouse.exchange.fhir.form import Fhir

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MII = "https://www.medizininformatik-initiative.de/fhir/ext/modul-bildgebung/StructureDefinition/mii-ex-bildgebung-"
Resources = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def hospital() -> Iterator[DuckDbWarehouse]:
    with filled(small_hospital(4, max_images=12)) as made:
        yield made


@pytest.fixture(scope="module")
def found(hospital: DuckDbWarehouse) -> Resources:
    rows = exported(hospital, Fhir(instances=True, dicomweb="https://gateway.example/dicomweb"))
    return resources(rows)


def resources(rows: Rows) -> Resources:
    return {kind: rows.documents(kind) for kind in layouts("fhir")}


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("reference"), str):
            yield part["reference"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


@pytest.mark.parametrize("kind", list(layouts("fhir")))
def test_resources_are_valid(found: Resources, kind: str) -> None:
    model = get_fhir_model_class(kind)

    assert found[kind] or kind == "Procedure"
    for one in found[kind]:
        model.model_validate(one)


def test_ids_are_valid_and_references_resolve(found: Resources) -> None:
    known = [f"{kind}/{one['id']}" for kind, listed in found.items() for one in listed]

    assert len(set(known)) == len(known)
    assert all(_ID.fullmatch(name.partition("/")[2]) for name in known)
    assert set(references(found)) <= set(known)


def test_numbers_of_a_study_agree_with_what_it_lists(found: Resources) -> None:
    for study in found["ImagingStudy"]:
        series = study["series"]
        assert study["numberOfSeries"] == len(series)
        assert study["numberOfInstances"] == sum(one["numberOfInstances"] for one in series)
        assert all(len(one["instance"]) == one["numberOfInstances"] for one in series)


def test_uids_have_their_forms(found: Resources) -> None:
    for study in found["ImagingStudy"]:
        assert study["identifier"][0]["system"] == "urn:dicom:uid"
        assert re.fullmatch(r"urn:oid:2\.25\.[0-9]+", study["identifier"][0]["value"])
        assert all(re.fullmatch(r"2\.25\.[0-9]+", series["uid"]) for series in study["series"])


def test_every_row_is_a_resource(hospital: DuckDbWarehouse, found: Resources) -> None:
    counts = hospital.counts()

    facts = sum(len(found[kind]) for kind in ("Observation", "Condition", "Procedure"))
    documents = len(found["DiagnosticReport"]) + len(found["DocumentReference"])
    assert (len(found["Patient"]), len(found["Encounter"])) == (counts["patient"], counts["clinical_case"])
    assert (len(found["ImagingStudy"]), facts, documents) == (
        counts["study"],
        counts["fact"],
        counts["document"],
    )
    assert sum(len(study["series"]) for study in found["ImagingStudy"]) == counts["series"]


def test_a_report_leads_to_its_study_and_keeps_its_text(hospital: DuckDbWarehouse, found: Resources) -> None:
    with hospital.reading() as state:
        pairs = state.execute(
            "SELECT 'report-' || document_key, 'ImagingStudy/imagingstudy-' || study_key, d.\"text\" "
            "FROM study_document JOIN document d USING (document_key)"
        ).fetchall()

    by_id = {one["id"]: one for one in found["DiagnosticReport"]}
    assert pairs
    for report, study, text in pairs:
        assert {"reference": study} in by_id[report]["imagingStudy"]
        assert base64.b64decode(by_id[report]["presentedForm"][0]["data"]).decode() == text


def test_series_carry_the_extensions_of_their_modality(found: Resources) -> None:
    all_series = [series for study in found["ImagingStudy"] for series in study["series"]]

    for series in all_series:
        urls = {one["url"].removeprefix(_MII) for one in series.get("extension", [])}
        modality = series["modality"]["code"]
        assert ("modalitaet-ct" in urls) == (modality == "CT")
        assert ("serie-schichtdicke" in urls) == (modality == "CT")
        assert ("modalitaet-mr" in urls) == (modality == "MR")
    assert {series["modality"]["code"] for series in all_series} >= {"CT"}


def test_no_true_identifier_is_in_it() -> None:
    true = generate(4, 1, 12)
    with filled(pseudonymised(true)) as warehouse:
        lines = " ".join(
            next(iter(row.values()))
            for listed in exported(warehouse, Fhir(instances=True)).tables.values()
            for row in listed
        )

    identifiers = {p.patient_id for p in true.patients} | {s.study_instance_uid for s in true.studies()}
    identifiers |= {s.accession_number for s in true.studies() if s.accession_number}
    assert not [one for one in identifiers if f'"{one}"' in lines]
