"""An archive behind its governor: the same archive, asked no more than is allowed."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from p2d.model.errors import InvalidRequest, ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.governor.book import Portion
from p2d.pacs.governor.governed import GovernedPacs, portions
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.port import NotNow, Operation, Resource, Why, WorkClass
from p2d.pacs.port import Abilities, Pacs, Query, RetrieveCounts
from p2d.settings.governor import Governing, Limits
from p2d.testing.datasets import three_patients
from p2d.testing.governor_contract import PLENTY
from p2d.testing.memory_pacs import MemoryPacs
from p2d.testing.pacs_contract import PacsContract, found


class Scene:
    """An archive in memory under a governor of this process."""

    def __init__(
        self, folder: Path, governing: Governing = PLENTY, work_class: WorkClass = WorkClass.INTERACTIVE
    ) -> None:
        self.pacs = MemoryPacs(three_patients().instances())
        self.switch = KillSwitch("main", folder)
        self.governor = LocalGovernor("main", governing, self.switch)
        self.heard: list[str] = []
        self.governed = GovernedPacs(
            self.pacs,
            self.governor,
            governing,
            work_class,
            stopped=self.switch.cause,
        )
        self.governed.watch(lambda name, cause: self.heard.append(f"{name}: {cause}"))

    def headers(self, patient: str = "P-3") -> list[IdentifiedHeader]:
        return list(self.pacs.find(Query(Level.INSTANCE, PatientId(patient))))

    def until(self, claim: str, *, seconds: float = 10) -> None:
        """Wait until an expression over the scene holds."""
        deadline = time.monotonic() + seconds
        while not eval(claim, {"scene": self}):  # noqa: S307 - expressions of these tests
            assert time.monotonic() < deadline, claim
            time.sleep(0.01)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.governed.close()


class TestGoverned(PacsContract):
    """All that the port promises, behind a governor."""

    @pytest.fixture(params=[WorkClass.INTERACTIVE, WorkClass.BULK])
    def pacs(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pacs]:
        few = PLENTY.model_copy(update={"limits": PLENTY.limits.model_copy(update={"images_per_request": 3})})
        made = Scene(tmp_path, few, request.param)
        yield made.governed
        made.governed.close()


def counted(scene: Scene, resource: Resource) -> float:
    return scene.governed.load().rates[resource].last_minute


def test_every_operation_is_counted(scene: Scene) -> None:
    headers = found(scene.governed, Level.INSTANCE, "P-3")
    scene.governed.owners(accession_number="ACC-12")
    scene.governed.echo()
    counts = RetrieveCounts()
    arrived = list(scene.governed.retrieve(PatientId("P-3"), headers, counts))

    assert len(arrived) == 20
    assert counted(scene, Resource.QUERIES) == 3
    assert counted(scene, Resource.IMAGES) == 20
    assert counted(scene, Resource.STUDIES) == 1
    assert counted(scene, Resource.BYTES) == counts.octets
    assert sum(scene.governed.load().associations.values()) == 0


def test_the_studies_of_some_days_cost_a_query_a_day(scene: Scene) -> None:
    found_studies = list(scene.governed.studies(date(2021, 12, 30), date(2022, 1, 2)))

    assert len(found_studies) == 1
    assert counted(scene, Resource.QUERIES) == 4


def test_a_hierarchical_answer_costs_as_many_queries_as_it_took(scene: Scene) -> None:
    scene.pacs.abilities = lambda: Abilities(relational=False, get=True, move=False)  # type: ignore[method-assign]  # as some archives
    studies, series = found(scene.pacs, Level.STUDY, "P-1"), found(scene.pacs, Level.SERIES, "P-1")

    found(scene.governed, Level.INSTANCE, "P-1")

    assert counted(scene, Resource.QUERIES) == 1 + len(studies) + len(series)


def test_a_refused_key_asks_neither_governor_nor_archive(scene: Scene) -> None:
    scene.switch.set("olga")

    with pytest.raises(InvalidRequest):
        scene.governed.find(Query(Level.STUDY, PatientId("*")))
    with pytest.raises(InvalidRequest):
        scene.governed.owners()
    with pytest.raises(InvalidRequest):
        scene.governed.retrieve(PatientId("*"), [])


def test_bulk_queries_share_a_lease_that_is_given_back_when_idle(tmp_path: Path) -> None:
    scene = Scene(tmp_path, work_class=WorkClass.BULK)
    time.sleep(0.01)
    asked = []
    original = scene.governor.ask
    scene.governor.ask = lambda *a: asked.append(a) or original(*a)  # type: ignore[method-assign,func-returns-value]  # counted

    for _ in range(16):
        found(scene.governed, Level.STUDY, "P-1")

    assert len(asked) < 10
    scene.until("not sum(scene.governed.load().associations.values())")
    assert counted(scene, Resource.QUERIES) == 16
    scene.governed.close()


def test_a_long_list_is_asked_for_in_portions_of_images_and_studies(scene: Scene) -> None:
    headers = [*scene.headers("P-1"), *scene.headers("P-3"), *scene.headers("P-1")]

    lists = portions(headers, Portion(images=5, studies=1, queries=1))

    assert [one for some in lists for one in some] == [*scene.headers("P-1"), *scene.headers("P-3")]
    assert max(map(len, lists)) == 5
    assert all(len({one.study_instance_uid for one in some}) == 1 for some in lists)


def test_a_stop_file_stops_everything_and_is_heard(scene: Scene, tmp_path: Path) -> None:
    headers = scene.headers()
    found(scene.governed, Level.STUDY, "P-3")
    arriving = scene.governed.retrieve(PatientId("P-3"), headers)
    next(arriving)

    (tmp_path / "STOP").touch()

    with pytest.raises(NotNow) as caught:
        next(arriving)
    assert caught.value.why is Why.STOPPED
    for call in (scene.governed.echo, lambda: found(scene.governed, Level.STUDY, "P-3")):
        with pytest.raises(NotNow):
            call()
    scene.until("scene.pacs.is_stopped")
    scene.until("scene.heard == ['main: file STOP']")
    assert scene.governed.load().stopped == "file STOP"

    (tmp_path / "STOP").unlink()
    scene.until("not scene.pacs.is_stopped")
    assert len(found(scene.governed, Level.INSTANCE, "P-3")) == 20


def test_a_stop_ends_what_hangs_in_the_archive(tmp_path: Path) -> None:
    class Hanging(MemoryPacs):
        """Sends one object and then waits until it is stopped."""

        def retrieve(
            self,
            patient_id: PatientId,
            instances: Sequence[IdentifiedHeader],
            counts: RetrieveCounts | None = None,
            *,
            pixels: bool = True,
        ) -> Iterator[IdentifiedInstance]:
            yield next(super().retrieve(patient_id, instances, counts, pixels=pixels))
            while not self.is_stopped:
                time.sleep(0.01)
            raise Unavailable("pacs", "aborted")

    scene = Scene(tmp_path)
    headers = scene.headers()
    hanging = Hanging(three_patients().instances())
    governed = GovernedPacs(hanging, scene.governor, PLENTY, WorkClass.BULK)
    arriving = governed.retrieve(PatientId("P-3"), headers)
    next(arriving)
    threading.Timer(0.1, scene.governor.stop, ["olga"]).start()
    begun = time.monotonic()

    with pytest.raises(Unavailable):
        list(arriving)

    assert time.monotonic() - begun < 5
    load = governed.load()
    assert load.breakers[Operation.RETRIEVE] == "closed"
    assert load.factor == 1.0  # a stop is not the archive's trouble
    governed.close()


def test_a_stop_survives_a_restart_and_resume_ends_it(tmp_path: Path) -> None:
    Scene(tmp_path).governor.stop("olga")

    scene = Scene(tmp_path)
    with pytest.raises(NotNow, match="resume"):
        scene.governed.echo()
    assert "olga" in scene.governed.load().stopped
    scene.governor.resume()

    scene.until("not scene.pacs.is_stopped")
    scene.governed.echo()
    scene.governed.close()


def test_the_archive_s_trouble_opens_the_breaker_and_an_echo_is_the_probe(tmp_path: Path) -> None:
    governing = PLENTY.model_copy(update={"failures": 2, "open_seconds": 0.3})
    scene = Scene(tmp_path, governing)
    scene.pacs.fails = Unavailable("pacs", "refuses")
    for _ in range(2):
        with pytest.raises(Unavailable, match="refuses"):
            found(scene.governed, Level.STUDY, "P-1")
    with pytest.raises(NotNow) as caught:
        found(scene.governed, Level.STUDY, "P-1")
    assert caught.value.why is Why.BREAKER
    assert scene.governed.load().factor == 0.5

    scene.pacs.fails = None
    time.sleep(0.4)

    assert found(scene.governed, Level.STUDY, "P-1")
    assert scene.governed.load().breakers[Operation.FIND] == "closed"
    scene.governed.close()


def test_bulk_waits_while_the_breaker_is_open(tmp_path: Path) -> None:
    scene = Scene(tmp_path, PLENTY.model_copy(update={"failures": 1, "open_seconds": 0.3}), WorkClass.BULK)
    scene.pacs.fails = Unavailable("pacs", "refuses")
    with pytest.raises(Unavailable, match="refuses"):
        found(scene.governed, Level.STUDY, "P-1")
    scene.pacs.fails = None

    assert found(scene.governed, Level.STUDY, "P-1")
    scene.governed.close()


def test_a_violation_is_no_reason_to_step_back(scene: Scene) -> None:
    scene.pacs.fails = ProtocolViolation("pacs", "answers nonsense")
    with pytest.raises(ProtocolViolation):
        found(scene.governed, Level.STUDY, "P-1")

    assert scene.governed.load().factor == 1.0


def test_people_are_told_that_it_is_not_the_time_and_bulk_waits(tmp_path: Path) -> None:
    never = PLENTY.model_copy(
        update={"windows": PLENTY.windows.model_copy(update={"bulk": (), "export": ()})}
    )
    scene = Scene(tmp_path, never)
    export = scene.governed.for_class(WorkClass.EXPORT)
    told = iter([False, False, True])
    bulk = scene.governed.for_class(WorkClass.BULK, give_up=lambda: next(told))
    bulk._pause = lambda _: None

    assert found(scene.governed, Level.STUDY, "P-1")
    for view in (export, bulk):
        with pytest.raises(NotNow) as caught:
            found(view, Level.STUDY, "P-1")
        assert caught.value.why is Why.WINDOW
    assert next(told, None) is None
    scene.governed.close()


def test_without_its_governor_nothing_is_asked(scene: Scene) -> None:
    def gone(*_: object) -> None:
        raise Unavailable("governor", "cannot be reached")

    scene.governor.ask = gone  # type: ignore[method-assign,assignment]  # as if its process were gone

    with pytest.raises(Unavailable, match="governor"):
        found(scene.governed, Level.STUDY, "P-1")
    with pytest.raises(Unavailable, match="governor"):
        list(scene.governed.retrieve(PatientId("P-3"), scene.headers()))
    assert (scene.pacs.queries, scene.pacs.retrieves) == (1, 0)  # the headers of this test


def test_images_come_no_faster_than_the_cap(tmp_path: Path) -> None:
    slow = Governing(
        limits=Limits(
            images_per_minute=1200, burst_seconds=0.5, queries_per_minute=60_000, studies_per_minute=60_000
        )
    )
    scene = Scene(tmp_path, slow, WorkClass.BULK)
    begun = time.monotonic()

    arrived = list(scene.governed.retrieve(PatientId("P-3"), scene.headers()))

    assert len(arrived) == 20
    assert time.monotonic() - begun >= (20 - 10) / 20
    scene.governed.close()


def test_bytes_come_no_faster_than_the_cap(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    headers = scene.headers()
    size = sum(len(one.content) for one in scene.pacs.retrieve(PatientId("P-3"), headers))
    slow = PLENTY.model_copy(
        update={
            "limits": PLENTY.limits.model_copy(
                update={"megabytes_per_second": size / 1e6, "burst_seconds": 0.2, "associations": 1}
            )
        }
    )
    governed = Scene(tmp_path, slow).governed
    begun = time.monotonic()

    list(governed.retrieve(PatientId("P-3"), headers))
    list(governed.retrieve(PatientId("P-3"), headers[:1]))  # waits for the debt

    assert time.monotonic() - begun >= 0.7
    governed.close()


def test_octets_that_a_connector_counts_at_the_end_count_once(scene: Scene) -> None:
    retrieve = scene.pacs.retrieve

    def told_at_the_end(
        patient: PatientId, headers: Sequence[IdentifiedHeader], counts: RetrieveCounts, **how: bool
    ) -> Iterator[IdentifiedInstance]:
        own = RetrieveCounts()
        yield from retrieve(patient, headers, own, **how)
        counts.octets += own.octets + 1000  # the latter of objects that were refused

    scene.pacs.retrieve = told_at_the_end  # type: ignore[assignment,method-assign]  # as the lean connector does
    counts = RetrieveCounts()

    list(scene.governed.retrieve(PatientId("P-3"), scene.headers(), counts))

    assert counted(scene, Resource.BYTES) == counts.octets


def test_a_stop_file_ends_what_hangs_also_while_the_governor_is_away(scene: Scene) -> None:
    stopped = threading.Event()
    stop = scene.pacs.stop
    scene.pacs.stop = lambda: (stop(), stopped.set())[0]  # type: ignore[func-returns-value,method-assign]  # heard

    def away(*_: object) -> object:
        raise Unavailable("governor", "cannot be reached")

    scene.governor.load = away  # type: ignore[assignment,method-assign]  # its database is down
    scene.switch.set("olga")

    assert stopped.wait(10)


def test_a_governor_that_answers_nonsense_does_not_end_the_watch(scene: Scene) -> None:
    load, asked = scene.governor.load, threading.Event()

    def nonsense() -> object:
        asked.set()
        raise KeyError("stopped")

    scene.governor.load = nonsense  # type: ignore[assignment,method-assign]  # of another version
    assert asked.wait(10)
    scene.governor.load = load  # type: ignore[method-assign]  # itself again
    scene.switch.set("olga")

    scene.until("scene.heard")


def test_a_retrieve_left_early_gives_everything_back(scene: Scene) -> None:
    arriving = scene.governed.retrieve(PatientId("P-3"), scene.headers())
    next(arriving)
    with suppress(AttributeError):
        arriving.close()  # type: ignore[attr-defined]  # it is a generator

    assert sum(scene.governed.load().associations.values()) == 0
    assert scene.governed.load().factor == 1.0
    assert counted(scene, Resource.IMAGES) == 1
