"""DuckDB gives the answers of the obvious evaluator, whatever the query and the warehouse."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2d.testing.cohort_oracle import CohortOracle
from p2d.testing.cohort_rows import CODES, DAYS, TEXTS, random_rows
from p2d.testing.warehouse_rows import batch
from p2d.warehouse.duckdb_engine import DuckDbWarehouse
from p2d.warehouse.query.nodes import Frame, Reduce
from p2d.warehouse.query.parse import parse

Json = dict[str, Any]
SEEDS = st.integers(0, 7)
WORDS = st.sampled_from(["thorax", "CT", "schädel thorax", "nyha iii", "I50"])
PATTERNS = st.sampled_from([r"NYHA (III|IV)\b", "^CT", "x$", r"I50\.\d", "[Tt]horax.*nativ", "Sch.del"])
ISO = st.sampled_from([day.isoformat() for day in DAYS])
NUMBERS = {"LVEF": [30, 45, 60], "birth_year": [1950, 1960], "Rows": [256, 512], "KVP": [100, 120]}
TEXTUAL = [
    "ICD10",
    "StudyDescription",
    "SeriesDescription",
    "ContrastBolusAgent",
    "ModalitiesInStudy",
    "Modality",
]
EVERY = [*NUMBERS, *TEXTUAL, "StudyDate", "SeriesDate", "sex", "SeriesNumber"]
ORDERED = st.sampled_from(["less", "at_most", "greater", "at_least"])


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    for seed in range(8):
        warehouse(seed)[0].close()
    warehouse.cache_clear()


@cache
def warehouse(seed: int) -> tuple[DuckDbWarehouse, CohortOracle]:
    rows = random_rows(seed)
    made = DuckDbWarehouse(None, query_seconds=120.0)
    clinical = {name: rows.get(name, []) for name in ("patient", "case", "document", "fact")}
    imaging = {name: rows.get(name, []) for name in ("study", "series", "instance", "header")}
    for source, part in (("clinical", clinical), ("extended", imaging)):
        made.load(batch(part, source, source))
    return made, CohortOracle(rows)


@st.composite
def criteria(draw: st.DrawFn) -> Json:
    form = draw(st.sampled_from(["exists", "number", "text", "date", "document", "member"]))
    if form == "exists":
        return {"attribute": draw(st.sampled_from(EVERY)), "exists": draw(st.booleans())}
    if form == "number":
        name = draw(st.sampled_from(sorted(NUMBERS)))
        value = draw(st.sampled_from(NUMBERS[name]))
        operator = draw(ORDERED | st.sampled_from(["equals"]))
        unit = {"unit": "%"} if name == "LVEF" and draw(st.booleans()) else {}
        return {"attribute": name, operator: value, **unit}
    if form == "date":
        name = draw(st.sampled_from(["StudyDate", "SeriesDate", "LVEF", "ICD10"]))
        bounds = sorted([draw(ISO), draw(ISO)])
        return (
            {"attribute": name, "between": bounds}
            if draw(st.booleans())
            else {"attribute": name, "less": bounds[0]}
        )
    if form == "member":
        return draw(
            st.sampled_from(
                [
                    {"attribute": "Modality", "in": ["CT", "US"]},
                    {"attribute": "ModalitiesInStudy", "equals": "SR"},
                    {"attribute": "ICD10", "in": [CODES[0], CODES[2]]},
                    {"attribute": "StudyDescription", "equals": TEXTS[1]},
                    {"attribute": "sex", "equals": "F"},
                    {"attribute": "StudyDate", "in": [DAYS[0].isoformat(), DAYS[3].isoformat()]},
                ]
            )
        )
    return _textual(draw, form)


def _textual(draw: st.DrawFn, form: str) -> Json:
    subject = (
        {"document": draw(st.sampled_from(["letter", "report"]))}
        if form == "document"
        else {"attribute": draw(st.sampled_from(TEXTUAL))}
    )
    operator = draw(st.sampled_from(["contains", "regex", "exists"]))
    if operator == "exists":
        return {**subject, "exists": draw(st.booleans())}
    if operator == "contains":
        return {**subject, "contains": draw(WORDS)}
    return {**subject, "regex": draw(PATTERNS), "ignore_case": draw(st.booleans())}


def groups(children: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    listed = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        listed.map(lambda nodes: {"all": nodes}),
        listed.map(lambda nodes: {"any": nodes}),
        listed.map(lambda nodes: {"none": nodes}),
        st.tuples(st.sampled_from([str(f) for f in Frame]), children).map(
            lambda p: {"same": p[0], "where": p[1]}
        ),
    )


EVERYBODY: Json = {"any": [{"attribute": "sex", "exists": is_known} for is_known in (True, False)]}
NODES = st.recursive(criteria(), groups, max_leaves=6)
COLUMNS = st.lists(
    st.tuples(st.sampled_from(EVERY), st.sampled_from([str(r) for r in Reduce])),
    min_size=1,
    max_size=4,
    unique=True,
)
LEVELS = st.sampled_from(["patient", "case", "study", "series", "instance"])


@given(seed=SEEDS, where=NODES)
@settings(max_examples=200, deadline=None)
def test_cohort_and_counts_are_those_of_the_oracle(seed: int, where: Json) -> None:
    made, oracle = warehouse(seed)
    query = parse({"version": 1, "where": where})

    counts = made.count(query)

    assert list(made.cohort(query)) == oracle.patients(query)
    found = [len(oracle.matching(query, f)) for f in Frame if f is not Frame.DOCUMENT]
    assert [counts.patients, counts.cases, counts.studies, counts.series, counts.instances] == found


@given(seed=SEEDS, where=st.just(EVERYBODY) | NODES, columns=COLUMNS, level=LEVELS)
@settings(max_examples=100, deadline=None)
def test_tables_are_those_of_the_oracle(
    seed: int, where: Json, columns: list[tuple[str, str]], level: str
) -> None:
    made, oracle = warehouse(seed)
    listed = [{"attribute": name, "reduce": reduce} for name, reduce in columns]
    query = parse({"version": 1, "where": where, "columns": listed, "level": level})

    table = made.table(query, 10_000)

    assert list(table.rows) == oracle.table(query)
    assert table.total == len(table.rows)


@given(where=NODES)
@settings(max_examples=50, deadline=None)
def test_what_parse_reads_as_json_gives_back(where: Json) -> None:
    query = parse({"version": 1, "where": where, "columns": ["LVEF"], "level": "study"})

    assert parse(query.as_json()) == query


@pytest.mark.parametrize("seed", range(8))
def test_the_random_warehouses_hold_every_attribute(seed: int) -> None:
    made, oracle = warehouse(seed)

    assert set(EVERY) <= set(made.catalogue().names)
    assert made.catalogue() == oracle.catalogue or made.catalogue().names == oracle.catalogue.names
