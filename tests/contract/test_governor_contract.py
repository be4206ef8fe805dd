"""One suite over every way of sharing a governor: one process, processes of a machine, machines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.local import LocalGovernor
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import Governor
from p2d.settings.governor import Governing
from p2d.testing.governor_contract import GovernorContract, Share


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
