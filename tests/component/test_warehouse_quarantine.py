"""Bad rows of a clinical batch are set aside with reasons and the rest goes in."""

from collections.abc import Iterator
from datetime import date

import pytest

from p2d.model.errors import InvalidRequest
from p2d.testing.warehouse_rows import Row, batch, case_psn, patient_psn, small_study, uid
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.upkeep.upkeep import Upkeep

P1: Row = {"patient": patient_psn(1)}
DAY = date(2020, 1, 2)


@pytest.fixture
def warehouse() -> Iterator[DuckDbWarehouse]:
    made = DuckDbWarehouse(None)
    yield made
    made.close()


def fact(**columns: object) -> Row:
    return {**P1, "attribute": "LVEF", "number": 40.0, "date": DAY, **columns}


BAD = [
    fact(date=date(1700, 1, 1)),
    fact(number=float("nan"), attribute="EF"),
    fact(attribute=None),
    fact(document=uid(77)),
    fact(case=case_psn(9), number=1.0),
    fact(time="25:00:00"),
    fact(unit="%"),  # the key of the good one again
]


def test_the_rest_goes_in_and_the_totals_add_up(warehouse: DuckDbWarehouse) -> None:
    sent = batch({"patient": [P1], "fact": [fact(), *BAD]}, source="clinical")

    receipt = warehouse.load(sent, "quarantine")

    assert dict(receipt.rows) == {"patient": 1, "fact": 1, "fact set aside": 7}
    with warehouse.reading() as cursor:
        rows = cursor.execute('SELECT "row", field, patient FROM quarantine ORDER BY "row"').fetchall()
        assert cursor.execute('SELECT "number" FROM fact').fetchall() == [(40.0,)]
    fields = ["date", "number", "attribute", "document", "case", "time", "time"]
    assert rows == [(place, field, patient_psn(1)) for place, field in enumerate(fields, 2)]
    assert Upkeep(warehouse).inconsistencies() == {}
    assert warehouse.load(sent, "quarantine") == receipt


def test_facts_of_a_document_set_aside_follow_it(warehouse: DuckDbWarehouse) -> None:
    document = {**P1, "document": uid(5), "kind": "letter", "date": date(1700, 1, 1)}

    receipt = warehouse.load(
        batch({"patient": [P1], "document": [document], "fact": [fact(document=uid(5))]}, source="clinical"),
        "quarantine",
    )

    assert dict(receipt.rows) == {"patient": 1, "document set aside": 1, "fact set aside": 1}


def test_what_is_no_pseudonym_still_refuses_the_whole_batch(warehouse: DuckDbWarehouse) -> None:
    for row in (fact(patient="0004711"), fact(document="1.2.840.1"), fact(case="FALL-1")):
        with pytest.raises(InvalidRequest) as caught:
            warehouse.load(batch({"patient": [P1], "fact": [fact(), row]}, source="clinical"), "quarantine")

        assert "4711" not in str(caught.value)
    assert warehouse.counts()["patient"] == 0


def test_images_are_loaded_as_a_whole_or_not_at_all(warehouse: DuckDbWarehouse) -> None:
    with pytest.raises(InvalidRequest, match="clinical"):
        warehouse.load(batch(small_study()), "quarantine")
