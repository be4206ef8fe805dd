"""Exports in databases as sites have them: OMOP's and i2b2's own tables, a foreign EAV fact table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest

from p2d.model.errors import Misconfigured, Unavailable
from p2d.testing.exchanging import SMALL_RANGE, Rows, filled, small_hospital
from p2d.testing.postgres import Postgres
from p2d.testing.warehouse_rows import Row, batch, patient_psn, small_study
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.exchange.eav import Eav
from p2d.warehouse.exchange.form import Form, run
from p2d.warehouse.exchange.i2b2.form import I2b2
from p2d.warehouse.exchange.omop.form import Omop
from p2d.warehouse.exchange.postgresql.sinks import ForeignFacts, ForeignTables, connected
from p2d.warehouse.exchange.postgresql.source import postgresql_snapshot
from p2d.warehouse.exchange.sinks import csv_bytes
from p2d.warehouse.exchange.source import DuckDbSource, Source
from p2d.warehouse.exchange.workbench import workbench

pytestmark = pytest.mark.system
_DATA = Path(__file__).parents[1] / "data"
_FIRST, _LAST = 1000, 1999
_FACT_TABLE = """
CREATE TABLE dwinfo (
  infoid bigserial PRIMARY KEY, attrid integer NOT NULL, pid {identifier} NOT NULL, measuretime timestamp NOT
  NULL,
  importtime timestamp DEFAULT now(), caseid {identifier} NOT NULL, ref bigint NOT NULL,
  docid {identifier} NOT NULL, groupid bigint NOT NULL, value text,
  UNIQUE (attrid, pid, measuretime, caseid, ref, docid, groupid))
"""
_STANDARD = """
INSERT INTO domain VALUES ('Metadata', 'Metadata', 0), ('Condition', 'Condition', 0), ('Procedure',
'Procedure', 0),
  ('Measurement', 'Measurement', 0), ('Observation', 'Observation', 0);
INSERT INTO concept_class VALUES ('Undefined', 'Undefined', 0);
INSERT INTO vocabulary VALUES ('None', 'OMOP Standardized Vocabularies', NULL, NULL, 0);
INSERT INTO concept SELECT id, 'standard', 'Metadata', 'None', 'Undefined', 'S', id::text, '1970-01-01',
  '2099-12-31'
FROM unnest(ARRAY[0, 10, 19, 21, 27, 5085, 8507, 8532, 9201, 9202, 9203, 32817, 32678, 1147138, 1147082,
  4300757, 4013636, 4171754, 4171755, 4171756, 4172704]) id
"""


@pytest.fixture(scope="module")
def hospital() -> Iterator[DuckDbWarehouse]:
    with filled(small_hospital(4, max_images=12)) as made:
        yield made


@pytest.fixture
def dsn(postgres_server: Postgres, request: pytest.FixtureRequest) -> str:
    return postgres_server.database(f"exchange_{abs(hash(request.node.nodeid))}")


def ours(warehouse: DuckDbWarehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.reading() as state:
        return state.execute(statement).fetchall()


def theirs(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as database:
        return database.execute(statement).fetchall()


def make(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn) as database:
        for statement in statements:
            database.execute(statement.encode())


def load(warehouse: DuckDbWarehouse, dsn: str, form: Form, ids: Path | None = None) -> ForeignTables:
    with warehouse.reading() as state, workbench(ids) as bench, connected(dsn) as database:
        sink = ForeignTables(database, form.name, "public")
        run(form, DuckDbSource(state), bench, sink, weight=SMALL_RANGE)
    return sink


def load_facts(warehouse: DuckDbWarehouse, dsn: str, ids: Path | None = None) -> tuple[int, int, int]:
    with warehouse.reading() as state, workbench(ids) as bench, connected(dsn) as database:
        sink = ForeignFacts(database, "public", "dwinfo", _FIRST, _LAST)
        run(Eav(_FIRST, numbers=sink.numbers), DuckDbSource(state), bench, sink, weight=SMALL_RANGE)
    return sink.inserted, sink.updated, sink.deleted


def omop(dsn: str) -> None:
    make(dsn, (_DATA / "omop_cdm_5.4.sql").read_text(encoding="utf-8"), _STANDARD)


def test_a_cohort_in_omop_counts_what_ours_counts(hospital: DuckDbWarehouse, dsn: str) -> None:
    omop(dsn)

    load(hospital, dsn, Omop())

    chests = theirs(
        dsn,
        "SELECT count(DISTINCT i.person_id), count(*) FROM image_occurrence i JOIN image_occurrence_ext e "
        "USING (image_occurrence_id) WHERE i.modality_concept_id = 4300757 "
        "AND e.study_description ILIKE '%thorax%'",
    )
    assert chests == ours(
        hospital,
        "SELECT count(DISTINCT e.patient_key), count(*) FROM series e JOIN study s USING (study_key) "
        """WHERE "Modality" = 'CT' AND "StudyDescription" ILIKE '%thorax%'""",
    )
    assert chests[0][1] > 0


def test_every_row_is_in_omop(hospital: DuckDbWarehouse, dsn: str) -> None:
    omop(dsn)

    load(hospital, dsn, Omop())

    here = ours(
        hospital,
        """SELECT (SELECT count(*) FROM patient), (SELECT count(*) FROM clinical_case),
        (SELECT count(*) FROM fact WHERE starts_with(attribute, 'ICD')),
        (SELECT count(*) FROM fact WHERE starts_with(attribute, 'OPS')) + (SELECT count(*) FROM study),
        (SELECT count(*) FROM series), (SELECT count(*) FROM document WHERE "text" IS NOT NULL),
        (SELECT sum("number") FROM fact WHERE attribute = 'LVEF')""",
    )
    there = theirs(
        dsn,
        """SELECT (SELECT count(*) FROM person), (SELECT count(*) FROM visit_occurrence),
        (SELECT count(*) FROM condition_occurrence), (SELECT count(*) FROM procedure_occurrence),
        (SELECT count(*) FROM image_occurrence), (SELECT count(*) FROM note),
        (SELECT sum(value_as_number) FROM measurement WHERE measurement_source_value = 'LVEF')""",
    )
    assert there == here


def test_a_parameter_of_a_series_is_a_feature_with_its_measurement(
    hospital: DuckDbWarehouse, dsn: str
) -> None:
    omop(dsn)

    load(hospital, dsn, Omop())

    there = theirs(
        dsn,
        "SELECT i.image_series_uid, m.value_as_number, m.unit_source_value FROM image_feature f "
        "JOIN image_occurrence i USING (image_occurrence_id) JOIN concept c ON c.concept_id = "
        "f.image_feature_concept_id "
        "JOIN measurement m ON m.measurement_id = f.image_feature_event_id "
        "WHERE c.concept_code = 'DICOM:SliceThickness' ORDER BY 1",
    )
    assert [(uid, float(number), unit) for uid, number, unit in there] == ours(
        hospital,
        "SELECT e.series, h.number, 'mm' FROM header h JOIN series e USING (series_key) "
        "WHERE h.keyword = 'SliceThickness' ORDER BY 1",
    )
    assert there


def test_ids_in_omop_stay_when_more_is_loaded(hospital: DuckDbWarehouse, dsn: str, tmp_path: Path) -> None:
    omop(dsn)
    ids = tmp_path / "ids.duckdb"
    asked = "SELECT image_series_uid, image_occurrence_id FROM image_occurrence"
    patient = {"patient": patient_psn(99), "birth_year": 1980}
    batches = small_hospital(4, max_images=12)

    with filled(batches[1:2]) as fewer:  # patients known by their images only
        load(fewer, dsn, Omop(), ids)
    first = dict(theirs(dsn, asked))
    with filled([batch({"patient": [patient], **small_study(99)}), *batches]) as more:
        load(more, dsn, Omop(), ids)
    second = dict(theirs(dsn, asked))

    assert len(second) == len(first) + 1
    assert first.items() <= second.items()


def test_an_omop_schema_of_another_source_is_left_alone(hospital: DuckDbWarehouse, dsn: str) -> None:
    omop(dsn)
    make(dsn, "INSERT INTO person VALUES (1, 0, 1950, NULL, NULL, NULL, 0, 0)")

    with pytest.raises(Misconfigured, match="another source"):
        load(hospital, dsn, Omop())

    assert theirs(dsn, "SELECT count(*) FROM person") == [(1,)]


def test_an_export_that_fails_leaves_the_one_before(hospital: DuckDbWarehouse, dsn: str) -> None:
    omop(dsn)
    load(hospital, dsn, Omop())
    before = theirs(dsn, "SELECT count(*) FROM image_occurrence")
    make(dsn, "ALTER TABLE image_feature ADD CONSTRAINT none CHECK (image_feature_id < 0) NOT VALID")

    with pytest.raises(Unavailable, match=r"image_feature\.none"):
        load(hospital, dsn, Omop())

    assert theirs(dsn, "SELECT count(*) FROM image_occurrence") == before


def test_the_same_instance_in_i2b2_is_the_same_series(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, (_DATA / "i2b2_1.8.sql").read_text(encoding="utf-8"))

    load(hospital, dsn, I2b2())

    there = theirs(
        dsn,
        "SELECT count(*), count(DISTINCT patient_num) FROM observation_fact m JOIN observation_fact d "
        "USING (patient_num, encounter_num, concept_cd, provider_id, start_date, instance_num) "
        "WHERE m.modifier_cd = 'DICOM:Modality' AND m.tval_char = 'CT' "
        "AND d.modifier_cd = 'DICOM:StudyDescription' AND d.tval_char ILIKE '%thorax%'",
    )
    assert there == ours(
        hospital,
        "SELECT count(*), count(DISTINCT e.patient_key) FROM series e JOIN study s USING (study_key) "
        """WHERE "Modality" = 'CT' AND "StudyDescription" ILIKE '%thorax%'""",
    )
    assert there[0][0] > 0


def test_i2b2_finds_its_way_from_the_ontology_to_the_facts(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, (_DATA / "i2b2_1.8.sql").read_text(encoding="utf-8"))

    load(hospital, dsn, I2b2())

    lost = theirs(
        dsn,
        "SELECT count(*) FROM observation_fact o WHERE NOT EXISTS (SELECT 1 FROM concept_dimension c JOIN "
        "p2d_ontology t ON t.c_dimcode = c.concept_path WHERE c.concept_cd = o.concept_cd) OR "
        "o.modifier_cd <> '@' "
        "AND NOT EXISTS (SELECT 1 FROM modifier_dimension m JOIN p2d_ontology t ON t.c_dimcode = "
        "m.modifier_path "
        "WHERE m.modifier_cd = o.modifier_cd)",
    )
    facts = theirs(
        dsn,
        "SELECT count(*), sum(nval_num) FILTER (WHERE concept_cd = 'LVEF') FROM observation_fact "
        "WHERE concept_cd NOT LIKE 'DOC:%' AND concept_cd <> 'DICOM|SERIES' AND modifier_cd = '@'",
    )
    assert lost == [(0,)]
    assert facts == ours(hospital, "SELECT count(*), sum(number) FILTER (WHERE attribute = 'LVEF') FROM fact")


def test_i2b2_rows_of_other_sources_stay(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, (_DATA / "i2b2_1.8.sql").read_text(encoding="utf-8"))
    make(dsn, "INSERT INTO patient_dimension VALUES (2000000000, 'N', NULL, NULL, 'F', NULL, 'OTHER')")

    load(hospital, dsn, I2b2())
    load(hospital, dsn, I2b2())

    assert theirs(dsn, "SELECT sourcesystem_cd, count(*) FROM patient_dimension GROUP BY 1 ORDER BY 1") == [
        ("OTHER", 1),
        ("P2D", 4),
    ]


def test_a_foreign_fact_table_becomes_equal_and_stays_so(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, _FACT_TABLE.format(identifier="varchar(64)"))

    first = load_facts(hospital, dsn)
    second = load_facts(hospital, dsn)

    (images,) = theirs(
        dsn, "SELECT count(DISTINCT groupid) FROM dwinfo WHERE value LIKE '1.2.840.10008.5.1.4.1.1.%'"
    )
    assert images[0] == hospital.counts()["instance"]
    assert first == (theirs(dsn, "SELECT count(*) FROM dwinfo")[0][0], 0, 0)
    assert second == (0, 0, 0)


def test_numbers_are_used_where_the_foreign_table_has_numbers(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, _FACT_TABLE.format(identifier="bigint"))

    load_facts(hospital, dsn)

    assert theirs(
        dsn, "SELECT count(DISTINCT pid), count(DISTINCT caseid) FROM dwinfo WHERE caseid > 0"
    ) == ours(hospital, "SELECT count(DISTINCT patient_key), count(DISTINCT case_key) FROM clinical_case")


def test_a_foreign_table_follows_changes_and_keeps_what_is_not_ours(dsn: str, tmp_path: Path) -> None:
    make(dsn, _FACT_TABLE.format(identifier="varchar(64)"))
    make(dsn, "INSERT INTO dwinfo VALUES (-1, 7, 'x', '2020-01-01', now(), '', 0, '', 1, 'theirs')")
    ids = tmp_path / "ids.duckdb"
    everybody: dict[str, list[Row]] = {"patient": [{"patient": patient_psn(n), "sex": "F"} for n in (1, 2)]}
    changed: dict[str, list[Row]] = {"patient": [{"patient": patient_psn(1), "sex": "M"}]}

    with filled([batch(everybody, source="clinical")]) as warehouse:
        assert load_facts(warehouse, dsn, ids) == (2, 0, 0)
        warehouse.load(batch(changed, "b2", "clinical"))
        assert load_facts(warehouse, dsn, ids) == (0, 1, 0)
    with filled([batch(changed, source="clinical")]) as smaller:
        assert load_facts(smaller, dsn, ids) == (0, 0, 1)

    assert theirs(dsn, "SELECT pid, value FROM dwinfo ORDER BY infoid") == [
        ("x", "theirs"),
        (patient_psn(1), "M"),
    ]


def test_a_fact_table_whose_key_lacks_the_group_is_refused(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, _FACT_TABLE.format(identifier="varchar(64)").replace("docid, groupid))", "docid))"))

    with pytest.raises(Misconfigured, match="lacks its unique key"):
        load_facts(hospital, dsn)


def test_a_narrow_group_is_refused(hospital: DuckDbWarehouse, dsn: str) -> None:
    make(dsn, _FACT_TABLE.format(identifier="varchar(64)").replace("groupid bigint", "groupid integer"))

    with pytest.raises(Misconfigured, match="no BIGINT"):
        load_facts(hospital, dsn)


def test_the_file_of_ids_forgets_who_was_erased_and_gives_no_number_twice(tmp_path: Path) -> None:
    ids = tmp_path / "ids.duckdb"

    def person(number: int) -> int:
        with (
            filled([batch({"patient": [{"patient": patient_psn(number)}]}, source="clinical")]) as warehouse,
            warehouse.reading() as state,
            workbench(ids) as bench,
        ):

            class Numbers:
                def write(self, table: str, rows: Any) -> None:
                    if table == "person":
                        found.extend(rows.column("person_id").to_pylist())

                def finish(self) -> None: ...

            found: list[int] = []
            run(Omop(), DuckDbSource(state), bench, Numbers())
        return found[0]

    first, second, third = person(1), person(2), person(1)

    with duckdb.connect(str(ids)) as db:
        kept = db.execute("SELECT \"key\" FROM given WHERE domain = 'person'").fetchall()
    assert len({first, second, third}) == 3
    assert kept == [(patient_psn(1),)]


def test_a_warehouse_on_postgresql_is_read_as_one_on_duckdb_is(hospital: DuckDbWarehouse, dsn: str) -> None:
    kinds = {
        pa.int32(): "integer",
        pa.int64(): "bigint",
        pa.float64(): "double precision",
        pa.date32(): "date",
    }
    kinds |= {pa.timestamp("us"): "timestamp", pa.bool_(): "boolean"}
    with hospital.reading() as connection, connected(dsn) as database:
        there = DuckDbSource(connection)
        for table in there.columns():
            rows = there.stream(table).read_all()
            columns = ", ".join(f'"{c.name}" {kinds.get(c.type, "text")}' for c in rows.schema)
            database.execute(f'CREATE TABLE "{table}" ({columns})'.encode())
            with (
                database.cursor() as cursor,
                cursor.copy(f'COPY "{table}" FROM STDIN (FORMAT csv)'.encode()) as copy,
            ):
                copy.write(csv_bytes(rows))
        database.commit()

        with postgresql_snapshot(database) as here:
            assert here.columns() == there.columns()
            assert list(here.ranges(800)) == list(there.ranges(800))
            assert here.data_version == there.data_version
            for table in there.columns():
                assert here.stream(table).read_all() == there.stream(table).read_all()
            sinks = (Rows(), Rows())
            sources: tuple[Source, Source] = (here, there)
            for source, sink in zip(sources, sinks, strict=True):
                with workbench(None) as bench:
                    run(Eav(), source, bench, sink, weight=SMALL_RANGE)
    assert sinks[0].tables == sinks[1].tables
