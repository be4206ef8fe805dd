import csv
import hashlib
import io
import os
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from p2d.testing.holdings import KEYWORDS, ListedHoldings
from p2d.testing.hospital import Hospital, Instance, Patient, generate

MODALITIES = ("CT", "MR", "CR", "DX", "US", "MG", "XA", "PT", "SR")


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return generate(100)


@pytest.fixture(scope="module")
def canary_hospital() -> Hospital:
    return generate(30, canary=True)


@pytest.fixture(scope="module")
def examples(hospital: Hospital) -> dict[str, Instance]:
    """One instance of every modality."""
    found: dict[str, Instance] = {}
    for series in hospital.series():
        found.setdefault(series.modality, series.instances[0])
    return found


def series_of(patient: Patient) -> int:
    return sum(len(study.series) for study in patient.studies)


def images_of(patient: Patient) -> int:
    return sum(len(series.instances) for study in patient.studies for series in study.series)


def digest(hospital: Hospital, folder: Path) -> str:
    """SHA-256 over clinical files, held attributes and rendered bytes."""
    whole = hashlib.sha256()
    hospital.write_clinical(folder)
    for path in sorted(folder.iterdir()):
        whole.update(path.read_bytes())
    for held in hospital.held():
        whole.update(repr(sorted(held.attributes.items())).encode())
        whole.update(written(held.render()))
    return whole.hexdigest()


def written(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def text_at(ds: Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value)


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Determinism ---------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = digest(generate(4, seed=7, max_images=8), tmp_path / "here")
    program = (
        "import importlib.util, pathlib, sys\n"
        "spec = importlib.util.spec_from_file_location('hospital_tests', sys.argv[1])\n"
        "tests = importlib.util.module_from_spec(spec); spec.loader.exec_module(tests)\n"
        "print(tests.digest(tests.generate(4, seed=7, max_images=8), pathlib.Path(sys.argv[2])))"
    )

    there = subprocess.run(
        [sys.executable, "-c", program, __file__, str(tmp_path / "there")],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert there.stdout.strip() == here


def test_another_seed_gives_other_people() -> None:
    one, other = generate(12, seed=1), generate(12, seed=2)

    assert [p.name for p in one.patients] != [p.name for p in other.patients]
    assert {s.study_instance_uid for s in one.studies()}.isdisjoint(
        s.study_instance_uid for s in other.studies()
    )


# Shape ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [12, 30, 100])
def test_series_and_images_are_skewed_like_the_papers_table(count: int) -> None:
    made = generate(count)
    series, images = [series_of(p) for p in made.patients], [images_of(p) for p in made.patients]

    assert 7 <= statistics.median(series) <= 14
    assert 70 <= statistics.median(images) <= 160
    assert statistics.mean(series) > 1.5 * statistics.median(series)
    assert statistics.mean(images) > 1.2 * statistics.median(images)
    assert max(images) <= 400


@given(
    count=st.integers(min_value=1, max_value=6),
    seed=st.integers(min_value=0, max_value=10**6),
    limit=st.integers(min_value=1, max_value=40),
    canary=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_any_hospital_is_well_formed(count: int, seed: int, limit: int, canary: bool) -> None:
    made = generate(count, seed, limit, canary=canary)

    uids = [i.sop_instance_uid for i in made.images()]
    assert len(made.patients) == count
    assert len({p.patient_id for p in made.patients}) == count
    assert all(1 <= images_of(p) <= limit for p in made.patients)
    assert len(uids) == len(set(uids))
    assert all(UID(uid).is_valid for uid in uids)
    assert all(s.case is None or s.case.start <= s.date <= s.case.end for s in made.studies())
    assert all(len(s.description) <= 64 and len(s.accession_number) <= 16 for s in made.studies())
    assert all(len(s.description) <= 64 and len(s.protocol) <= 64 for s in made.series())


def test_every_modality_occurs(hospital: Hospital) -> None:
    assert {series.modality for series in hospital.series()} == set(MODALITIES)


def test_numbers_are_as_untidy_as_in_real_archives(hospital: Hospital) -> None:
    series = list(hospital.series())

    assert any(i.number is None for s in series for i in s.instances)
    assert any([i.number for i in s.instances] != [i.number for i in s.ordered()] for s in series)
    assert any(not study.accession_number for study in hospital.studies())
    assert any(study.case is None for study in hospital.studies())
    shared = Counter(study.accession_number for study in hospital.studies() if study.accession_number)
    assert max(shared.values()) >= 2


def test_first_and_middle_follow_instance_number_then_uid_with_missing_last(hospital: Hospital) -> None:
    for series in hospital.series():
        order = sorted(
            series.instances,
            key=lambda i: (float("inf") if i.number is None else i.number, i.sop_instance_uid),
        )

        assert series.first() is order[0]
        assert series.middle() is order[len(order) // 2]


# People --------------------------------------------------------------------------------------------------


def test_awkward_names_are_among_the_patients(hospital: Hospital) -> None:
    names = Counter(patient.name for patient in hospital.patients)
    kopf = next(patient for patient in hospital.patients if patient.family == "Kopf")

    assert max(names.values()) >= 2
    assert any("-" in patient.family for patient in hospital.patients)
    assert any(not patient.family.isascii() for patient in hospital.patients)
    assert "CT Kopf nativ" in {study.description.split(" geb.")[0][:13] for study in kopf.studies}


def test_some_descriptions_hold_the_patients_own_name_or_birth_date(hospital: Hospital) -> None:
    named = [s for s in hospital.studies() if s.patient.family in s.description]
    dated = [s for s in hospital.studies() if f"{s.patient.birth_date:%d.%m.%Y}" in s.description]

    assert len(named) > 5
    assert dated


@pytest.mark.parametrize("canary", [False, True])
@pytest.mark.parametrize("seed", [1, 42])
@pytest.mark.parametrize(("count", "least"), [(30, 2), (100, 5)])
def test_enough_patients_satisfy_the_papers_cohort(count: int, least: int, seed: int, canary: bool) -> None:
    made = generate(count, seed, canary=canary)

    failing = sum(patient.is_failing for patient in made.patients)
    assert least <= len(made.cohort()) < count / 2
    assert 0.15 <= failing / count <= 0.25


def test_the_cohort_needs_all_three_criteria(hospital: Hospital) -> None:
    outside = [patient for patient in hospital.patients if patient not in hospital.cohort()]

    assert any(f.attribute == "LVEF" and (f.number or 99) < 45 for p in outside for f in p.facts)
    assert any("CT" in s.modalities and "thorax" in s.description.lower() for p in outside for s in p.studies)


# Images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canary", [False, True])
def test_what_a_query_answers_equals_the_rendered_object(canary: bool) -> None:
    for held in generate(9, seed=3, max_images=9, canary=canary).held():
        ds = dcmread(io.BytesIO(written(held.render())))

        assert set(held.attributes) <= KEYWORDS
        assert {k: text_at(ds, k) for k in held.attributes} == dict(held.attributes)


@pytest.mark.parametrize("modality", MODALITIES)
def test_objects_survive_writing_and_their_pixels_decode(
    modality: str, examples: dict[str, Instance]
) -> None:
    ds = dcmread(io.BytesIO(written(examples[modality].render())))

    assert ds.Modality == modality
    assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    if modality != "SR":
        assert ds.pixel_array.max() > ds.pixel_array.min()


def test_no_value_of_bytes_has_an_odd_length(canary_hospital: Hospital, hospital: Hospital) -> None:
    rendered = [next(iter(made.images())).render() for made in (canary_hospital, hospital)]
    values = [
        element.value for ds in rendered for element in ds.iterall() if element.VR in {"UN", "OB", "OW"}
    ]

    assert values
    assert [len(value) for value in values if len(value) % 2] == []


def test_ultrasound_says_that_it_shows_the_name(hospital: Hospital) -> None:
    images = [i for i in hospital.images() if i.series.modality == "US"][:200:40]
    tops = {image.render().PixelData[: 3 * image.columns * 14] for image in images}

    assert all(image.render().BurnedInAnnotation == "YES" for image in images)
    assert len(tops) > 1


def test_some_projections_are_inverted(hospital: Hospital) -> None:
    projections = [s.instances[0] for s in hospital.series() if s.modality == "DX"][:12]

    assert {i.render().PhotometricInterpretation for i in projections} == {"MONOCHROME1", "MONOCHROME2"}


def test_names_stand_where_table_driven_rules_forget_them(examples: dict[str, Instance]) -> None:
    patient = examples["CT"].series.study.patient
    ds = examples["CT"].render()

    before = ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert str(before.PatientName) == patient.name.upper()
    assert ds[0x0029, 0x1001].value == f"{patient.family}, {patient.given}"
    assert patient.family in ds.RequestAttributesSequence[0].ReasonForTheRequestedProcedure


def test_reports_name_the_patient_in_their_content(examples: dict[str, Instance]) -> None:
    ds = examples["SR"].render()

    kinds = {item.ValueType for item in ds.ContentSequence}
    assert {"PNAME", "TEXT", "UIDREF", "DATE"} <= kinds
    assert str(ds.ContentSequence[0].PersonName) == examples["SR"].series.study.patient.name


def test_a_hospital_is_a_source_of_holdings() -> None:
    made = generate(2, max_images=5)

    listed = ListedHoldings(tuple(made.instances()))

    assert sorted(h["SOPInstanceUID"] for h in listed.instances()) == sorted(
        i.sop_instance_uid for i in made.images()
    )


# Clinical side -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canary", [False, True])
def test_clinical_files_refer_to_what_exists(canary: bool, tmp_path: Path) -> None:
    made = generate(30, seed=5, canary=canary)

    made.write_clinical(tmp_path)

    patients = {row["patient_id"] for row in table(tmp_path, "patient")}
    cases = {(row["patient_id"], row["case_id"]) for row in table(tmp_path, "case")}
    documents = {(r["patient_id"], r["case_id"], r["document_id"]): r for r in table(tmp_path, "document")}
    facts = table(tmp_path, "fact")
    accessions = {study.accession_number for study in made.studies()}
    assert patients == {patient.patient_id for patient in made.patients}
    assert {patient for patient, _ in cases} <= patients
    assert {(p, c) for p, c, _ in documents if c} <= cases
    assert {(r["patient_id"], r["case_id"], r["document_id"]) for r in facts} <= set(documents)
    assert {r["accession_number"] for r in documents.values()} <= accessions | {""}
    assert len({key for _, _, key in documents}) == len(documents)
    keys = [(r["document_id"], r["group_id"], r["attribute"]) for r in facts]
    assert len(keys) == len(set(keys))


def test_radiology_reports_carry_the_accession_number_of_their_study(hospital: Hospital) -> None:
    reports = [d for p in hospital.patients for d in p.documents if d.kind == "radiology_report"]
    per_accession = Counter(d.accession_number for d in reports)
    all_accessions = {s.accession_number for s in hospital.studies()}

    assert any("kein Pneumothorax" in d.text for d in reports)
    assert max(per_accession.values()) >= 2
    assert all_accessions - set(per_accession)
    assert {d.accession_number for d in reports} <= all_accessions


def test_letters_name_the_patient_and_state_nyha_in_many_ways(hospital: Hospital) -> None:
    letters = [(p, d) for p in hospital.patients for d in p.documents if d.kind == "discharge_letter"]
    texts = " ".join(d.text for _, d in letters)

    assert all(p.family in d.text and f"{p.birth_date:%d.%m.%Y}" in d.text for p, d in letters)
    for spelling in ("NYHA III", "NYHA-Klasse III-IV", "NYHA IV", "Kein Hinweis auf NYHA III/IV", "NYHA II"):
        assert spelling in texts
    assert "$" not in texts


def test_facts_are_coded_and_measured(hospital: Hospital) -> None:
    facts = [fact for patient in hospital.patients for fact in patient.facts]

    attributes = {fact.attribute for fact in facts}
    units = {fact.attribute: fact.unit for fact in facts}
    assert {"ICD10", "OPS", "LVEF", "TROPONIN_T", "CREATININE", "NTPROBNP", "HB"} <= attributes
    assert (units["LVEF"], units["TROPONIN_T"], units["CREATININE"]) == ("%", "ng/L", "mg/dL")
    assert all(fact.code or fact.number is not None for fact in facts)


# Canaries ------------------------------------------------------------------------------------------------


def test_canaries_are_improbable(canary_hospital: Hospital) -> None:
    canaries = canary_hospital.canaries()

    assert all(len(c) >= 10 or (c.kind == "birth_date" and len(c) == 8) for c in canaries)
    assert all(1890 <= p.birth_date.year <= 1919 for p in canary_hospital.patients)
    assert len(canaries) == len(set(canaries))


def test_canary_names_and_ids_belong_to_one_patient(canary_hospital: Hospital) -> None:
    people = canary_hospital.patients

    words = [w for p in people for w in (*p.family.split("-"), p.given)]
    words += [w for name in canary_hospital.physicians for w in name.split("^")[0].split("-")]
    assert len(words) == len(set(words))
    assert all(len(word) >= 10 for word in words)
    assert any(not word.isascii() for word in words)


@pytest.mark.parametrize("count", [30, 800])
def test_names_fit_their_elements(count: int) -> None:
    made = generate(count, max_images=1, canary=True)

    assert all(len(name) <= 64 for name in (*(p.name for p in made.patients), *made.physicians))
    assert any("-" in p.family for p in made.patients)


def test_canaries_cover_every_identifier(canary_hospital: Hospital) -> None:
    canaries = {*canary_hospital.canaries(), ""}

    for held in canary_hospital.held():
        for keyword in ("PatientID", "AccessionNumber", "AdmissionID", "PatientBirthDate"):
            assert held[keyword] in canaries
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            assert held[keyword] in canaries
        assert set(held["PatientName"].split("^")) <= canaries
        assert held["ReferringPhysicianName"].split("^")[0] in canaries
    assert {d.document_id for p in canary_hospital.patients for d in p.documents} <= canaries
