"""Several archives as one: one instance with two sources, no short answer taken as whole."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable
from p2d.model.header import Element, text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Choice, Level
from p2d.pacs.port import Abilities, Query, RetrieveCounts
from p2d.pacs.several import SeveralArchives
from p2d.testing.datasets import held_ct
from p2d.testing.holdings import HeldInstance
from p2d.testing.memory_pacs import MemoryPacs

P1 = PatientId("P-1")


def image(number: int, series: str = "1.2.3", **keywords: str) -> HeldInstance:
    return held_ct(
        SOPInstanceUID=f"{series}.{number}", SeriesInstanceUID=series, InstanceNumber=str(number), **keywords
    )


def archives(*held: Sequence[HeldInstance]) -> list[MemoryPacs]:
    return [MemoryPacs(each, name=name) for name, each in zip(("old", "new", "far"), held, strict=False)]


def listed(pacs: SeveralArchives, level: Level = Level.INSTANCE, **keys: str) -> dict[str, IdentifiedHeader]:
    unique = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}.get(
        level, "00100020"
    )
    query = Query(level, P1, **keys)  # type: ignore[arg-type]  # keys of a query
    return {text_of(one.elements, unique): one for one in pacs.find(query)}


@given(st.lists(st.frozensets(st.sampled_from(("old", "new", "far"))), min_size=1, max_size=9))
def test_each_instance_is_listed_once_with_all_its_sources(places: list[frozenset[str]]) -> None:
    images = {f"1.2.3.{number}": where for number, where in enumerate(places)}
    several = SeveralArchives(
        archives(
            *([image(n) for n, where in enumerate(places) if name in where] for name in ("old", "new", "far"))
        )
    )

    found = listed(several)

    assert {uid: frozenset(one.archives) for uid, one in found.items()} == {
        uid: where for uid, where in images.items() if where
    }
    for one in found.values():
        assert text_of(one.elements, "00201209") == str(len(found))
        assert text_of(one.elements, "00201208") == str(len(found))


def test_the_first_archive_decides_and_the_next_fills_what_it_leaves_empty() -> None:
    first = image(1, SeriesDescription="from the old", StudyDescription="")
    second = image(1, SeriesDescription="from the new", StudyDescription="from the new")

    (found,) = listed(SeveralArchives(archives([first], [second]))).values()

    assert text_of(found.elements, "0008103E") == "from the old"
    assert text_of(found.elements, "00081030") == "from the new"


def test_modalities_of_a_study_are_those_of_all_archives() -> None:
    several = SeveralArchives(
        archives([image(1, "1.2.3", Modality="CT")], [image(1, "1.2.4", Modality="SR")])
    )

    (study,) = listed(several, Level.STUDY).values()

    assert text_of(study.elements, "00080061") == "CT\\SR"
    assert study.archives == ("old", "new")
    assert text_of(study.elements, "00201208") == ""  # the numbers of two archives do not add up to one


def test_numbers_of_what_one_archive_alone_holds_are_its_own() -> None:
    several = SeveralArchives(
        archives([image(1), image(2)], [image(1, PatientID="P-2", StudyInstanceUID="1.9")])
    )

    (series,) = listed(several, Level.SERIES).values()

    assert text_of(series.elements, "00201209") == "2"
    assert series.archives == ("old",)


def test_what_an_archive_counts_and_does_not_list_is_still_missed() -> None:
    class Short(MemoryPacs):
        def find(self, query: Query) -> Iterator[IdentifiedHeader]:
            return iter(list(super().find(query))[1:])

    several = SeveralArchives([Short([image(1), image(2)], name="old"), MemoryPacs([image(3)], name="new")])

    assert {text_of(one.elements, "00201209") for one in listed(several).values()} == {"3"}


def test_an_archive_that_puts_an_instance_elsewhere_is_no_source_of_it() -> None:
    several = SeveralArchives(archives([image(1)], [image(1, StudyInstanceUID="1.2.99")]))

    (found,) = listed(several).values()

    assert found.archives == ("old",)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("error", [Unavailable, ProtocolViolation, Misconfigured])
def test_a_patient_found_in_one_archive_and_failing_in_the_other_is_an_error(
    which: int, error: type[P2DError]
) -> None:
    both = archives([image(1)], [])
    both[which].fails = error("pacs", "broke")
    several = SeveralArchives(both)

    for ask in (
        lambda: list(several.find(Query(Level.STUDY, P1))),
        several.echo,
        lambda: several.owners(accession_number="ACC-1"),
    ):
        with pytest.raises(error, match=("old", "new")[which]):
            ask()


def test_owners_of_all_archives_are_named_once() -> None:
    several = SeveralArchives(
        archives([image(1)], [image(1), image(2, "1.5", PatientID="P-2", StudyInstanceUID="1.4")])
    )

    assert [one.value for one in several.owners(accession_number="ACC-1")] == ["P-1", "P-2"]


class Retrieving:
    """Two archives that share images 1 to 3; the second also holds image 4."""

    def __init__(self) -> None:
        self.old, self.new = archives([image(n) for n in (1, 2, 3)], [image(n) for n in (1, 2, 3, 4)])
        self.several = SeveralArchives([self.old, self.new])
        self.headers = list(listed(self.several).values())
        self.counts = RetrieveCounts()

    def __call__(self) -> list[IdentifiedInstance]:
        return list(self.several.retrieve(P1, self.headers, self.counts))


@pytest.fixture
def retrieving() -> Retrieving:
    return Retrieving()


def test_the_preferred_archive_is_asked_and_the_next_only_for_what_it_lacks(retrieving: Retrieving) -> None:
    assert len(retrieving()) == 4
    assert (retrieving.old.retrieves, retrieving.new.retrieves) == (1, 1)
    assert retrieving.counts.notes == []


def test_an_archive_that_has_nothing_of_it_is_not_asked(retrieving: Retrieving) -> None:
    retrieving.headers = [one for one in retrieving.headers if "old" in one.archives]
    retrieving()

    assert retrieving.new.retrieves == 0


def test_what_the_preferred_archive_does_not_deliver_comes_from_the_next_and_is_noted(
    retrieving: Retrieving,
) -> None:
    retrieving.old.missing = {"1.2.3.2"}

    assert len(retrieving()) == 4
    assert retrieving.counts.notes == ["1 instance(s) were asked of archive new in the second place"]


def test_a_failing_archive_is_no_error_where_the_next_delivers_all(retrieving: Retrieving) -> None:
    retrieving.old.fails = Unavailable("pacs", "aborted")

    assert len(retrieving()) == 4
    assert "archive old failed; another had what it should have delivered" in retrieving.counts.notes


def test_a_failing_archive_is_an_error_where_anything_of_it_is_missing(retrieving: Retrieving) -> None:
    retrieving.new.fails = Unavailable("pacs", "aborted")  # image 4 is there alone

    with pytest.raises(Unavailable, match="archive new"):
        retrieving()


def test_headers_that_name_no_archive_are_looked_for_in_all(retrieving: Retrieving) -> None:
    retrieving.headers = [replace(one, archives=()) for one in retrieving.headers]

    assert len(retrieving()) == 4


def test_abilities_are_those_that_hold_for_all() -> None:
    class WebOnly(MemoryPacs):
        def abilities(self) -> Abilities:
            return replace(super().abilities(), get=False, web=True)

    abilities = SeveralArchives([MemoryPacs([], name="old"), WebOnly([], name="new")]).abilities()

    assert (abilities.get, abilities.move, abilities.web, abilities.counts) == (False, True, False, False)


def test_a_stop_reaches_all_archives_at_the_same_time() -> None:
    meeting = threading.Barrier(2)

    class Slow(MemoryPacs):
        def stop(self) -> None:
            meeting.wait(5)
            super().stop()

    both = [Slow([], name="old"), Slow([], name="new")]
    several = SeveralArchives(both)
    several.stop()
    assert [one.is_stopped for one in both] == [True, True]
    several.resume()
    assert [one.is_stopped for one in both] == [False, False]


def test_every_archive_is_closed_also_where_one_fails_to() -> None:
    closed = []

    class Broken(MemoryPacs):
        def close(self) -> None:
            closed.append(self.name)
            raise RuntimeError

    several = SeveralArchives([Broken([], name="old"), Broken([], name="new")])
    with pytest.raises(RuntimeError):
        several.close()

    assert sorted(closed) == ["new", "old"]


def test_elements_are_changed_in_no_archive() -> None:
    first, second = archives([image(1)], [image(1)])
    before: dict[str, Element] = dict(next(first.find(Query(Level.INSTANCE, P1))).elements)
    listed(SeveralArchives([first, second]))

    assert next(first.find(Query(Level.INSTANCE, P1))).elements == before


@pytest.mark.parametrize(
    ("asked", "passed"), [(Choice.FIRST, Choice.FIRST), (Choice.MIDDLE, Choice.ALL), (None, None)]
)
def test_what_each_archive_answers_in_full_holds_what_is_picked_from_all(
    asked: Choice | None, passed: Choice | None
) -> None:
    seen: list[Choice | None] = []

    class Watched(MemoryPacs):
        def find(self, query: Query) -> Iterator[IdentifiedHeader]:
            seen.append(query.full)
            return super().find(query)

    several = SeveralArchives([Watched([image(1)], name="old"), Watched([image(2)], name="new")])
    list(several.find(Query(Level.INSTANCE, P1, full=asked)))

    assert seen == [passed, passed]
