"""The same hospital in every format: loaded, and pseudonymised and loaded, it is the same warehouse."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from p2d.clinical.formats import open_source
from p2d.clinical.mapping import IntakeMapping, read_mapping
from p2d.flows.gateway.clinical_rows import read_persons
from p2d.flows.gateway.pseudonymise import OUTPUT, pseudonymise_clinical, pseudonymise_source
from p2d.testing.hospital import generate
from p2d.testing.identity import MemoryIdentity
from p2d.testing.intake.fhir import write_fhir
from p2d.testing.intake.i2b2 import write_i2b2
from p2d.testing.intake.omop import write_omop
from p2d.testing.intake.records import Clinical, clinical_of, pseudonymised, write_native, write_persons
from p2d.testing.intake.tabular import write_mapped
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.warehouse.intake import Intake

WRITERS: dict[str, Callable[[Clinical, Path], None]] = {
    "csv": write_mapped,
    "omop": write_omop,
    "i2b2": write_i2b2,
    "fhir": write_fhir,
}
TODAY = date(2026, 11, 22)
Canonical = dict[str, Counter[tuple[object, ...]]]


def mapping_of(folder: Path) -> IntakeMapping | None:
    path = folder / "mapping.toml"
    return read_mapping(path) if path.exists() else None


def loaded(folder: Path, form: str) -> tuple[MemoryWarehouse, Intake]:
    """Load *folder* and return the warehouse with the intake; nothing may be set aside."""
    warehouse = MemoryWarehouse()
    intake = Intake(open_source(folder, form, mapping_of(folder)))
    for batch in intake.batches:
        warehouse.load(batch)
    assert intake.set_aside == []
    account = intake.account()
    assert account["read"] + account["several"] == account["skipped"] + account["loaded"]
    return warehouse, intake


def canonical(warehouse: MemoryWarehouse) -> Canonical:
    """Return all rows; a group's key is what the group holds, as keys made of surrogates differ."""
    tables: Canonical = {}
    for table in ("patient", "case", "document"):
        tables[table] = Counter(tuple(row.values()) for row in warehouse.rows(table))
    groups: dict[tuple[object, object, object], list[str]] = {}
    facts = []
    for row in warehouse.rows("fact"):
        group = (row["patient"], row["document"], row.pop("group"))
        facts.append((group, tuple(row.values())))
        groups.setdefault(group, []).append(repr(facts[-1][1]))
    tables["fact"] = Counter((*row, *sorted(groups[group])) for group, row in facts)
    return tables


@pytest.fixture(scope="module")
def identified() -> Clinical:
    return clinical_of(generate(5, 7, 12))


@pytest.fixture(scope="module")
def timed(direct: Path) -> Clinical:
    """The pseudonymised hospital, and in it a time of day for the facts of some groups."""
    made = pseudonymised(direct)
    for fact in made.fact:
        if fact["attribute"] in {"RR_SYS", "RR_DIA"}:
            fact["time"] = "08:15:00"
    return made


@pytest.fixture(scope="module")
def wanted(timed: Clinical, tmp_path_factory: pytest.TempPathFactory) -> Canonical:
    """The warehouse that the native form of the pseudonymised hospital gives."""
    folder = tmp_path_factory.mktemp("native")
    write_native(timed, folder, identified=False)
    return canonical(loaded(folder, "p2d")[0])


@pytest.fixture(scope="module")
def direct(identified: Clinical, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hospital through the native form: identified CSV, pseudonymised."""
    folder = tmp_path_factory.mktemp("direct")
    write_native(identified, folder / "in", identified=True)
    pseudonymise_clinical(folder / "in", folder / "out", MemoryIdentity(), today=TODAY)
    return folder / "out"


def test_the_records_hold_what_formats_differ_in(identified: Clinical) -> None:
    groups = Counter((f["document"], f["group"]) for f in identified.fact)

    assert max(groups.values()) == 2
    assert {f["attribute"] for f in identified.fact} >= {"ICD10", "OPS", "LVEF", "RR_DIA", "CRP", "RHYTHM"}
    assert any(d["accession"] for d in identified.document)
    assert any(d["case"] is None for d in identified.document)


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_loads_the_same_rows(
    form: str, timed: Clinical, wanted: Canonical, tmp_path: Path
) -> None:
    WRITERS[form](timed, tmp_path)

    warehouse, _ = loaded(tmp_path, form)

    assert canonical(warehouse) == wanted


@pytest.mark.parametrize("form", ["omop", "i2b2"])
def test_parquet_with_its_own_types_is_as_good_as_csv(
    form: str, timed: Clinical, wanted: Canonical, tmp_path: Path
) -> None:
    WRITERS[form](timed, tmp_path)
    for path in list(tmp_path.glob("*.csv")):
        table = pa_csv.read_csv(path, parse_options=pa_csv.ParseOptions(newlines_in_values=True))
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), path.with_name(f"{path.stem.upper()}_1.parquet"))
        pq.write_table(table.slice(half), path.with_name(f"{path.stem.upper()}_2.parquet"))
        path.unlink()

    warehouse, _ = loaded(tmp_path, form)

    assert canonical(warehouse) == wanted


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_is_pseudonymised_to_the_same_rows(
    form: str, identified: Clinical, direct: Path, tmp_path: Path
) -> None:
    known = replace(identified, patient=[{**p, "contacts": []} for p in identified.patient])
    WRITERS[form](known, tmp_path / "in")
    write_persons(known, tmp_path / "persons.csv")
    source = open_source(tmp_path / "in", form, mapping_of(tmp_path / "in"))

    report = pseudonymise_source(
        source,
        tmp_path / "out",
        MemoryIdentity(),
        persons=read_persons(tmp_path / "persons.csv"),
        today=TODAY,
    )

    assert report.quarantined == {}
    assert report.removed == {}
    assert canonical(loaded(tmp_path / "out", "p2d")[0]) == canonical(loaded(direct, "p2d")[0])


@pytest.mark.parametrize("form", WRITERS)
def test_identified_data_in_any_format_are_not_loaded(
    form: str, identified: Clinical, tmp_path: Path
) -> None:
    WRITERS[form](identified, tmp_path)
    intake = Intake(open_source(tmp_path, form, mapping_of(tmp_path)))

    assert list(intake.batches) == []
    account = intake.account()
    assert account["loaded"] == 0
    assert account["read"] + account["several"] == account["skipped"] + account["set_aside"]
    shown = repr(intake.set_aside)
    assert not any(p["patient"] in shown or p["names"][0] in shown for p in identified.patient)


def values(folder: Path) -> Iterator[str]:
    for name in OUTPUT:
        yield (folder / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("form", WRITERS)
def test_no_canary_of_the_hospital_is_left_in_what_is_pseudonymised(form: str, tmp_path: Path) -> None:
    hospital = generate(3, 3, 8, canary=True)
    clinical = clinical_of(hospital)
    WRITERS[form](clinical, tmp_path / "in")
    write_persons(clinical, tmp_path / "persons.csv")
    source = open_source(tmp_path / "in", form, mapping_of(tmp_path / "in"))

    pseudonymise_source(
        source,
        tmp_path / "out",
        MemoryIdentity(),
        persons=read_persons(tmp_path / "persons.csv"),
        today=TODAY,
    )

    content = "".join(values(tmp_path / "out"))
    secret = [p["patient"] for p in clinical.patient] + [c["case"] for c in clinical.case]
    secret += [d["document"] for d in clinical.document] + [d["accession"] for d in clinical.document]
    secret += [part for p in clinical.patient for part in p["names"][0].split("^")]
    assert [one for one in secret if one and one in content] == []


@pytest.mark.parametrize("form", ["omop", "i2b2"])
def test_texts_of_patients_without_a_known_name_are_removed(
    form: str, identified: Clinical, tmp_path: Path
) -> None:
    WRITERS[form](identified, tmp_path / "in")
    source = open_source(tmp_path / "in", form)

    report = pseudonymise_source(source, tmp_path / "out", MemoryIdentity(), today=TODAY)

    documents = loaded(tmp_path / "out", "p2d")[0].rows("document")
    told = sum(1 for d in identified.document if d["text"])
    assert [d for d in documents if d["text"]] == []
    assert sum(report.removed["document.csv"].values()) == told


@pytest.mark.parametrize("form", WRITERS)
def test_loading_a_folder_twice_changes_nothing(form: str, direct: Path, tmp_path: Path) -> None:
    WRITERS[form](pseudonymised(direct), tmp_path)

    first = [batch.batch_id for batch in Intake(open_source(tmp_path, form, mapping_of(tmp_path))).batches]
    again = [batch.batch_id for batch in Intake(open_source(tmp_path, form, mapping_of(tmp_path))).batches]

    assert first == again
