"""One suite over every way of sharing a governor: one process, processes of a machine, machines."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import Ending, Governor, WorkClass
from p2d.pacs.governor.postgres import PostgresGovernor
from p2d.pacs.governor.statefile import StateFile
from p2d.settings.governor import Governing
from p2d.testing.governor_contract import PLENTY, GovernorContract, Share, admitted, ask, ended
from p2d.testing.postgres import Postgres


class TestMachine(GovernorContract):
    """Members of one machine: the first holds the governor, the others ask it over a socket."""

    @pytest.fixture
    def share(self, tmp_path: Path) -> Iterator[Share]:
        members: list[MachineGovernor] = []

        def share(settings: Governing) -> Governor:
            member = MachineGovernor("main", settings, KillSwitch("main", tmp_path), tmp_path)
            members.append(member)
            member.load()
            return member

        yield share
        for member in reversed(members):
            member.close()


def test_a_damaged_state_file_is_no_reason_not_to_start(tmp_path: Path) -> None:
    file = tmp_path / "state"
    governor = LocalGovernor("main", PLENTY, KillSwitch("main", tmp_path), state_file=file)
    ended(governor, admitted(governor, ask(WorkClass.BULK)), Ending.FAILED)
    governor.close()
    good = file.read_bytes()
    for content in (b"", b"P2DSTATE", good[:100], good.replace(b"level", b"lever"), b"\xff" * 600_000):
        file.write_bytes(content)
        governor = LocalGovernor("main", Governing(), KillSwitch("main", tmp_path), state_file=file)
        assert governor.load().factor in {1.0, 0.5}
        governor.close()


@pytest.mark.system
class TestPostgres(GovernorContract):
    """Members of several machines: the book is a row of a database that all of them reach."""

    @pytest.fixture
    def share(self, tmp_path: Path, postgres_server: Postgres) -> Iterator[Share]:
        members: list[PostgresGovernor] = []
        dsn = postgres_server.database(f"governor_{os.urandom(4).hex()}")

        def share(settings: Governing) -> Governor:
            machine = tmp_path / f"machine-{len(members)}"
            machine.mkdir()
            member = PostgresGovernor("main", settings, KillSwitch("main", machine), dsn)
            members.append(member)
            member.load()
            return member

        yield share
        for member in members:
            member.close()


def test_of_two_states_the_later_whole_one_counts(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    for number in range(5):
        file.write({"number": number})
    file.close()
    raw = bytearray((tmp_path / "state").read_bytes())

    raw[raw.rindex(b'"number":')] ^= 1  # tear one of the two
    (tmp_path / "state").write_bytes(raw)

    again = StateFile(tmp_path / "state")
    assert again.read() in ({"number": 4}, {"number": 3})
    again.write({"number": 9})
    assert again.read() == {"number": 9}
    again.close()
