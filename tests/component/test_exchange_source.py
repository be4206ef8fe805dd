"""What an export reads: one state of the warehouse, all patients once, in ranges of bounded size."""

from itertools import pairwise

from p2d.testing.exchanging import filled, small_hospital
from p2d.testing.warehouse_rows import batch, small_study
from p2d.warehouse.exchange.source import DuckDbSource, snapshot


def test_a_load_meanwhile_is_not_seen() -> None:
    with filled([batch(small_study())]) as warehouse:
        with warehouse.reading() as connection, snapshot(connection) as source:
            version = source.data_version
            warehouse.load(batch(small_study(2, 500), "later"))

            assert source.data_version == version
            assert source.stream("patient").read_all().num_rows == 1

        assert warehouse.counts()["patient"] == 2


def test_ranges_hold_every_patient_once_and_stay_below_their_weight() -> None:
    with filled(small_hospital(4, max_images=12)) as warehouse, warehouse.reading() as connection:
        source = DuckDbSource(connection)
        ranges = list(source.ranges(800))
        patients = [
            psn for one in ranges for psn in source.read("patient", one).column("patient").to_pylist()
        ]

    assert len(ranges) > 1
    assert all(before.last < after.first for before, after in pairwise(ranges))
    assert len(patients) == len(set(patients)) == 4


def test_one_patient_is_never_cut() -> None:
    with filled([batch(small_study(images=9))]) as warehouse, warehouse.reading() as connection:
        (only,) = DuckDbSource(connection).ranges(1)

    assert only.first == only.last
