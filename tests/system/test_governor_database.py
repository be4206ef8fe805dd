"""A governor in a real PostgreSQL that stops, and machines that vanish."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.model.errors import Unavailable
from p2d.pacs.governor import postgres as governors
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.port import Lease, Report, Resource, WorkClass
from p2d.pacs.governor.postgres import PostgresGovernor
from p2d.settings.governor import Governing, Limits
from p2d.testing.governor_contract import PLENTY, admitted, ask, ended
from p2d.testing.postgres import Postgres, postgres
from p2d.testing.waiting import until

pytestmark = pytest.mark.system


@pytest.fixture
def dsn(postgres_server: Postgres) -> str:
    return postgres_server.database(f"governor_{os.urandom(4).hex()}")


def member(dsn: str, folder: Path, settings: Governing = PLENTY) -> PostgresGovernor:
    return PostgresGovernor("main", settings, KillSwitch("main", folder), dsn)


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


def test_while_the_database_is_down_nothing_is_admitted_and_afterwards_all_is_as_before(
    own_server: Postgres, tmp_path: Path
) -> None:
    governor = member(own_server.dsn, tmp_path)
    lease = admitted(governor, ask(WorkClass.BULK))

    own_server.stop(at_once=True)

    for call in (lambda: governor.ask(ask(WorkClass.INTERACTIVE)), governor.load):
        with pytest.raises(Unavailable, match="database"):
            call()
    own_server.start()
    assert sum(governor.load().associations.values()) == 1
    ended(governor, lease, queries=1)
    governor.close()


def test_a_machine_that_vanished_loses_its_leases_one_that_is_heard_of_keeps_them(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governors, "LEASE_SECONDS", 1.0)
    gone, lives = member(dsn, tmp_path), member(dsn, tmp_path)
    admitted(gone, ask(WorkClass.BULK))
    kept = admitted(lives, ask(WorkClass.EXPORT))

    until(lambda: lives.load().associations[WorkClass.BULK] == 0)

    lives.report(kept.lease_id, Report({Resource.QUERIES: 1}))
    with pytest.raises(Unavailable, match="lease"):
        gone.report("x", Report())
    gone.close()
    lives.close()


def test_machines_that_ask_at_once_get_no_more_than_there_is(dsn: str, tmp_path: Path) -> None:
    few = Governing(limits=Limits(queries_per_minute=600, burst_seconds=1, associations=64))
    members = [member(dsn, tmp_path, few) for _ in range(4)]
    leases: list[Lease] = []
    ends = threading.Event()

    def asking(one: PostgresGovernor, name: int) -> None:
        while not ends.is_set():
            answer = one.ask(ask(WorkClass.INTERACTIVE, str(name)))
            if isinstance(answer, Lease):
                leases.append(answer)

    threads = [threading.Thread(target=asking, args=(one, i)) for i, one in enumerate(members)]
    for thread in threads:
        thread.start()
    until(lambda: len(leases) >= 10, seconds=30)
    ends.wait(0.5)
    ends.set()
    for thread in threads:
        thread.join()

    assert len(leases) == 10  # none was used: what is lent still counts
    assert len({lease.lease_id for lease in leases}) == 10
    for one in members:
        one.close()


def test_a_stop_on_one_machine_stops_the_others(dsn: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, other = (member(dsn, folder) for folder in folders)
    one.load()
    one.stop("olga")

    assert other.load().stopped.startswith("olga at ")
    assert not (folders[0] / "STOP.main").exists()
    (folders[1] / "STOP").touch()
    one.resume()
    assert not one.load().is_stopped
    assert other.load().stopped == "file STOP"
    one.close()
    other.close()
