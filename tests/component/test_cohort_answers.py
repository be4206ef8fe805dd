"""Attrition, facets, the count of each frame, and reasons, over a small warehouse one can count by hand."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.testing.warehouse_rows import Row, batch, case_psn, patient_psn, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.criterion_cache import CriterionCache
from p2d.warehouse.query.nodes import All, Frame, Query
from p2d.warehouse.query.nodes import Any as AnyOf
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.results import Dimension, FacetRequest

CT = {"attribute": "Modality", "equals": "CT"}
THORAX = {"attribute": "SeriesDescription", "contains": "thorax"}
EF = {"attribute": "LVEF", "less": 45}


def images(patient: int, study: int, day: date, *series: tuple[str, str]) -> dict[str, list[Row]]:
    own: Row = {"patient": patient_psn(patient), "study": uid(study)}
    return {
        "study": [{**own, "archive": "main", "StudyDate": day, "case": case_psn(patient)}],
        "series": [
            {**own, "series": uid(study + 1 + n), "Modality": modality, "SeriesDescription": text}
            for n, (modality, text) in enumerate(series)
        ],
    }


@pytest.fixture
def warehouse() -> Iterator[DuckDbWarehouse]:
    made = DuckDbWarehouse(None)
    people = range(1, 6)
    made.load(
        batch(
            {
                "patient": [
                    {"patient": patient_psn(n), "sex": "F", "birth_year": 1940 + 10 * n} for n in people
                ],
                "case": [{"patient": patient_psn(n), "case": case_psn(n)} for n in people],
                "fact": [
                    {
                        "patient": patient_psn(n),
                        "attribute": "LVEF",
                        "number": value,
                        "date": date(2020, 1, n),
                    }
                    for n, value in ((1, 40.0), (2, 30.0), (3, 60.0), (4, 20.0))
                ],
            },
            "clinical",
            "clinical",
        )
    )
    studies = [
        images(1, 100, date(2020, 3, 1), ("CT", "Thorax"), ("CT", "Head")),
        images(2, 200, date(2020, 5, 1), ("CT", "Head"), ("MR", "Thorax")),
        images(3, 300, date(2021, 5, 1), ("CT", "Thorax")),
        images(4, 400, date(2021, 6, 1), ("CT", "Head")),
        images(4, 450, date(2021, 7, 1), ("MR", "Thorax")),
        images(5, 500, date(2021, 8, 1), ("MR", "Head")),
    ]
    rows = {name: [row for part in studies for row in part[name]] for name in ("study", "series")}
    made.load(batch(rows, "basic", "basic"))
    yield made
    made.close()


def asked(where: dict[str, Any], **more: object) -> Query:
    return parse({"version": 2, "where": where, **more})


def test_each_step_of_an_attrition_counts_alone_and_together(warehouse: DuckDbWarehouse) -> None:
    steps = warehouse.attrition(asked({"all": [CT, EF, THORAX]}))

    assert [step.places for step in steps] == [("where.all[0]", "where.all[2]"), ("where.all[1]",)]
    assert [step.alone.number for step in steps] == [2, 3]
    assert [step.together.number for step in steps] == [2, 1]


def test_every_frame_of_a_query_is_counted_as_each_of_its_choices(warehouse: DuckDbWarehouse) -> None:
    (frame,) = warehouse.widen(asked({"all": [CT, THORAX]}))

    assert (frame.frame, frame.is_explicit, frame.places) == (Frame.SERIES, False, ("where",))
    found = {str(choice): tally.number for choice, tally in frame.patients.items()}
    assert found == {"series": 2, "study": 3, "case": 4, "patient": 4}


def test_a_written_frame_is_counted_too(warehouse: DuckDbWarehouse) -> None:
    same = {"same": "study", "where": {"all": [CT, THORAX]}}

    frames = warehouse.widen(asked({"all": [same, {"none": [{"attribute": "Modality", "equals": "MR"}]}]}))

    assert [(f.is_explicit, str(f.frame)) for f in frames] == [(True, "study"), (False, "series")]
    assert {str(c): t.number for c, t in frames[0].patients.items()} == {
        "series": 2,
        "study": 2,
        "case": 2,
        "patient": 2,
    }


def test_a_facet_counts_matching_series_by_value_and_year(warehouse: DuckDbWarehouse) -> None:
    by = (Dimension("SeriesDescription"), Dimension("StudyDate", "year"))

    facet = warehouse.facet(asked(CT), FacetRequest(by, Frame.SERIES))

    assert {labels: tally.number for labels, tally in facet.cells} == {
        ("Head", 2020): 2,
        ("Thorax", 2020): 1,
        ("Thorax", 2021): 1,
        ("Head", 2021): 1,
    }
    assert (facet.total.number, facet.missing.number, facet.others.number) == (5, 0, 0)


def test_a_facet_bins_numbers_and_tells_what_lacks_one(warehouse: DuckDbWarehouse) -> None:
    everybody = asked({"attribute": "sex", "equals": "F"})

    facet = warehouse.facet(everybody, FacetRequest((Dimension("LVEF", "number", 25.0),)))

    assert [(labels, tally.number) for labels, tally in facet.cells] == [
        ((25.0,), 2),
        ((0.0,), 1),
        ((50.0,), 1),
    ]
    assert (facet.missing.number, facet.total.number) == (1, 5)


def test_what_is_beyond_the_commonest_values_is_counted_together(warehouse: DuckDbWarehouse) -> None:
    everybody = asked({"attribute": "sex", "equals": "F"})

    facet = warehouse.facet(everybody, FacetRequest((Dimension("StudyDate", "month"),), top=2))

    assert [labels for labels, _ in facet.cells] == [("2020-03",), ("2020-05",)]
    assert facet.others.number == 3


def test_texts_are_not_binned(warehouse: DuckDbWarehouse) -> None:
    with pytest.raises(InvalidRequest, match="no numbers"):
        warehouse.facet(asked(CT), FacetRequest((Dimension("Modality", "number"),)))


def test_a_tally_names_the_set_of_patients_whatever_was_asked(warehouse: DuckDbWarehouse) -> None:
    one = warehouse.count(asked({"all": [EF]}))
    other = warehouse.count(asked({"none": [{"none": [EF]}]}))
    facet = warehouse.facet(asked(EF), FacetRequest((Dimension("sex"),)))

    assert one.patients == other.patients
    assert facet.cells[0][1] == one.patients


def test_reasons_are_the_values_that_fulfil(warehouse: DuckDbWarehouse) -> None:
    patients = [Pseudonym(patient_psn(n)) for n in (1, 3)]

    reasons = warehouse.reasons(asked({"all": [EF, CT, {"none": [THORAX]}]}), patients)
    shown = warehouse.reasons(asked({"all": [EF, CT, THORAX]}), patients)

    assert reasons == ()
    assert [(r.patient, r.place, r.value, r.day) for r in shown] == [
        (patient_psn(1), "where.all[0]", "40.0", date(2020, 1, 1)),
        (patient_psn(1), "where.all[1]", "CT", date(2020, 3, 1)),
        (patient_psn(1), "where.all[1]", "CT", date(2020, 3, 1)),
        (patient_psn(1), "where.all[2]", "Thorax", date(2020, 3, 1)),
    ]


def test_a_load_is_seen_by_the_next_question(warehouse: DuckDbWarehouse) -> None:
    before = warehouse.count(asked(EF)).patients.number

    row = {"patient": patient_psn(5), "attribute": "LVEF", "number": 10.0, "date": date(2020, 9, 9)}
    warehouse.load(batch({"fact": [row]}, "more", "clinical"))

    assert (before, warehouse.count(asked(EF)).patients.number) == (3, 4)


def test_the_cache_keeps_what_was_asked_last_and_of_one_version() -> None:
    cache = CriterionCache(most_bytes=2 * (1024 + 800))
    nodes = [All((AnyOf(()),) * n) for n in range(3)]

    for node in nodes:
        cache.put(node, 1, np.arange(100))

    assert cache.get(nodes[0], 1) is None
    assert cache.get(nodes[2], 1) is not None
    assert cache.get(nodes[2], 2) is None
    cache.put(nodes[0], 2, np.arange(100))
    assert cache.size == 1024 + 800


def test_a_cache_without_room_keeps_nothing() -> None:
    cache = CriterionCache(most_bytes=0)

    cache.put(All(()), 1, np.arange(3))

    assert cache.get(All(()), 1) is None
