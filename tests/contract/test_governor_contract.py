"""One suite over every way of sharing a governor: one process, processes of a machine, machines."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import Governor
from p2d.pacs.governor.postgres import PostgresGovernor
from p2d.settings.governor import Governing
from p2d.testing.governor_contract import GovernorContract, Share
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
    file = tmp_path / "state.json"
    for content in (b"", b"{", b"[]", b'{"state": {"version": 1}}', b"\xff"):
        file.write_bytes(content)
        governor = LocalGovernor("main", Governing(), KillSwitch("main", tmp_path), state_file=file)
        assert governor.load().factor == 1.0
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
