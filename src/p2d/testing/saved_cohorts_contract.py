"""What every store of saved cohorts does: the suite that an engine's test calls with an empty one."""

from datetime import UTC, datetime

from p2d.testing.warehouse_rows import patient_psn
from p2d.warehouse.saved import CohortStore, SavedCohort

_WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_PATIENTS = tuple(patient_psn(number) for number in (1, 2, 3))


def listing(name: str, owner: str, *, shared: bool = False, patients: int = 3) -> SavedCohort:
    """Return a list of a few patients under *name*."""
    return SavedCohort(name, owner, shared, None, _WHEN, patients, _PATIENTS[:patients])


def asking(name: str, owner: str, *, shared: bool = False) -> SavedCohort:
    """Return a query under *name*."""
    return SavedCohort(name, owner, shared, '{"version": 2}', _WHEN)


def check_store(store: CohortStore) -> None:
    """Return if *store*, empty before and after, keeps and forgets cohorts as it should.

    Raises:
        AssertionError: it does not.

    """
    _check_kept(store)
    _check_replaced(store)
    _check_owners(store)
    assert store.listed() == ()  # noqa: S101 - a suite for pytest


def _check_kept(store: CohortStore) -> None:
    for cohort in (listing("größe 1", "a"), asking("q'; --", "a", shared=True)):
        store.save(cohort)
        (found,) = store.find(cohort.name)
        assert _parts(found) == _parts(cohort)  # noqa: S101 - as above
        assert tuple(found.patients) == tuple(cohort.patients)  # noqa: S101 - as above
        (listed,) = store.listed()
        assert _parts(listed) == _parts(cohort)  # noqa: S101 - as above
        assert not listed.patients  # noqa: S101 - as above
        assert store.delete(cohort.name, "a")  # noqa: S101 - as above
        assert not store.delete(cohort.name, "a")  # noqa: S101 - as above
    assert store.find("größe 1") == ()  # noqa: S101 - as above


def _check_replaced(store: CohortStore) -> None:
    for cohort in (listing("x", "a"), listing("x", "a", shared=True, patients=1), asking("x", "a")):
        store.save(cohort)
        (found,) = store.find("x")
        assert (found.is_shared, found.size) == (cohort.is_shared, cohort.size)  # noqa: S101 - as above
        assert found.query == cohort.query  # noqa: S101 - as above
    store.delete("x", "a")


def _check_owners(store: CohortStore) -> None:
    store.save(listing("x", "b", shared=True))
    store.save(listing("x", "a", patients=1))
    assert [found.owner for found in store.find("x")] == ["a", "b"]  # noqa: S101 - as above
    assert [len(found.patients) for found in store.find("x")] == [1, 3]  # noqa: S101 - as above
    assert store.delete("x", "a")  # noqa: S101 - as above
    assert [found.owner for found in store.listed()] == ["b"]  # noqa: S101 - as above
    assert store.delete("x", "b")  # noqa: S101 - as above


def _parts(cohort: SavedCohort) -> tuple[object, ...]:
    when = cohort.created_at.replace(tzinfo=UTC)
    return (cohort.name, cohort.owner, cohort.is_shared, cohort.query, when, cohort.size)
