"""Contract suite of the ``Warehouse`` port: what every connector must do, whatever stands behind it.

Subclass ``WarehouseContract`` in a test module and give it a fixture ``warehouse`` that yields an empty one
that takes P2D's own pseudonyms. Needs pytest.
"""
# ruff: noqa: S101 - a contract suite asserts

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from p2d.model.errors import InvalidRequest
from p2d.testing.warehouse_rows import Row, batch, patient_psn, small_study, uid
from p2d.warehouse.port import Warehouse
from p2d.warehouse.wire import digest

Spoil = Callable[[dict[str, list[Row]]], None]


def _set(table: str, column: str, value: object) -> Spoil:
    def spoil(rows: dict[str, list[Row]]) -> None:
        rows[table][-1] = {**rows[table][-1], column: value}

    return spoil


def _twice(table: str) -> Spoil:
    return lambda rows: rows[table].append(rows[table][0])


SPOILED: dict[str, Spoil] = {
    "patient is a number of the hospital": _set("study", "patient", "0004711"),
    "patient with a wrong check character": _set("study", "patient", patient_psn(1)[:-1] + "*"),
    "study is an original UID": _set("study", "study", "1.2.840.113619.2.55.3"),
    "accession is a number of the hospital": _set("study", "accession", "RX12345"),
    "instance without a series": _set("instance", "series", None),
    "instance twice": _twice("instance"),
    "unknown scope": _set("instance", "scope", "everything"),
}


class WarehouseContract:
    """Claims about the port; each test gets its own empty warehouse."""

    def test_a_receipt_names_batch_digest_and_rows(self, warehouse: Warehouse) -> None:
        """The ledger relies on it."""
        sent = batch(small_study(images=3))

        receipt = warehouse.load(sent)

        assert receipt.batch_id == "b1"
        assert receipt.digest == digest(sent)
        assert dict(receipt.rows) == {"study": 1, "series": 1, "instance": 3}

    def test_the_receipt_can_be_asked_for_again(self, warehouse: Warehouse) -> None:
        """A restarted gateway asks before it works."""
        receipt = warehouse.load(batch(small_study()))

        assert warehouse.receipt("b1") == receipt

    def test_an_unknown_batch_has_no_receipt(self, warehouse: Warehouse) -> None:
        """None, not an error."""
        assert warehouse.receipt("never-loaded") is None

    def test_the_same_batch_again_gives_the_same_receipt(self, warehouse: Warehouse) -> None:
        """Exactly once means idempotent by batch."""
        first = warehouse.load(batch(small_study()))

        assert warehouse.load(batch(small_study())) == first

    def test_the_order_of_rows_does_not_matter(self, warehouse: Warehouse) -> None:
        """An archive may answer in another order the next time."""
        rows = small_study(images=5)
        first = warehouse.load(batch(rows))
        rows["instance"].reverse()

        assert warehouse.load(batch(rows)) == first

    def test_other_content_under_a_known_id_is_refused(self, warehouse: Warehouse) -> None:
        """And the receipt stays what it was."""
        first = warehouse.load(batch(small_study()))

        with pytest.raises(InvalidRequest, match="digest"):
            warehouse.load(batch(small_study(images=3)))

        assert warehouse.receipt("b1") == first

    @pytest.mark.parametrize("spoil", list(SPOILED.values()), ids=list(SPOILED))
    def test_anything_but_pseudonyms_is_refused_whole(self, warehouse: Warehouse, spoil: Spoil) -> None:
        """No row of the batch is kept, and the error shows no value."""
        rows = small_study()
        spoil(rows)

        with pytest.raises(InvalidRequest) as caught:
            warehouse.load(batch(rows))

        assert warehouse.receipt("b1") is None
        assert not any(text in str(caught.value) for text in ("4711", "RX12345", "113619"))

    def test_threads_may_load_side_by_side(self, warehouse: Warehouse) -> None:
        """Each batch gets its own receipt."""
        batches = [batch(small_study(n, 1000 * n), f"b{n}") for n in range(1, 9)]

        with ThreadPoolExecutor(4) as pool:
            receipts = list(pool.map(warehouse.load, batches))

        assert [receipt.batch_id for receipt in receipts] == [sent.batch_id for sent in batches]
        assert all(warehouse.receipt(f"b{n}") is not None for n in range(1, 9))

    def test_an_empty_batch_is_committed_too(self, warehouse: Warehouse) -> None:
        """Patients without images are done as well."""
        receipt = warehouse.load(batch({"study": []}))

        assert dict(receipt.rows) == {}
        assert warehouse.receipt("b1") == receipt

    def test_a_series_of_an_unknown_study_is_refused_or_kept_apart(self, warehouse: Warehouse) -> None:
        """A connector that holds relations refuses; one that only keeps batches may not know."""
        orphan = {"series": [{"patient": patient_psn(1), "study": uid(7), "series": uid(8)}]}

        try:
            receipt = warehouse.load(batch(orphan))
        except InvalidRequest as error:
            assert error.field == "series.study"  # noqa: PT017 - both outcomes are allowed
        else:
            assert receipt.rows["series"] == 1
