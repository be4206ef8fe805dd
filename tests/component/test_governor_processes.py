"""One governor among real processes: any of them may be killed, the limits hold."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from p2d.model.errors import Unavailable
from p2d.pacs.governor.client import SocketClient
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import Ask, Ending, Lease, Operation, Report, Resource, Wait, WorkClass
from p2d.pacs.governor.service import short_path
from p2d.settings.governor import Governing, Limits
from p2d.testing.governor_contract import admitted, ask, ended

FEW = Governing(
    limits=Limits(
        queries_per_minute=1200, images_per_minute=60_000, studies_per_minute=60_000, associations=3,
        burst_seconds=1,
    )
)  # fmt: skip
RATE, BURST = 20.0, 20.0

CHILD = """
import sys, time
from pathlib import Path
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.machine import MachineGovernor
from p2d.pacs.governor.port import Ending, Lease, Report, Resource, WorkClass
from p2d.settings.governor import Governing
from p2d.testing.governor_contract import admitted, ask
from p2d.model.errors import P2DError

folder, what = Path(sys.argv[1]), sys.argv[2]
settings = Governing.model_validate_json(sys.argv[3])
governor = MachineGovernor("main", settings, KillSwitch("main", folder), folder)
governor.load()
print("ready", governor.is_holder, flush=True)
if what == "hold":
    for i in range(2):
        admitted(governor, ask(WorkClass.BULK, str(i)))
    print("held", flush=True)
    time.sleep(600)
while what == "use":
    try:
        lease = admitted(governor, ask(WorkClass.BULK, str(time.monotonic()), ahead=3))
        for _ in range(int(lease.lent[Resource.QUERIES])):
            print("used", time.monotonic(), flush=True)
        used = {Resource.QUERIES: lease.lent[Resource.QUERIES]}
        governor.report(lease.lease_id, Report(used, ending=Ending.DONE))
    except P2DError:
        pass
time.sleep(600)
"""


@contextmanager
def child(
    folder: Path, what: str, output: IO[bytes] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", CHILD, str(folder), what, FEW.model_dump_json()]
    process = subprocess.Popen(
        command, stdout=output, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def says(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    return process.stdout.readline().decode().strip()


@pytest.fixture
def governor(tmp_path: Path) -> Iterator[MachineGovernor]:
    made = MachineGovernor("main", FEW, KillSwitch("main", tmp_path), tmp_path)
    yield made
    made.close()


def in_use(governor: MachineGovernor) -> int:
    return sum(governor.load().associations.values())


def until(governor: MachineGovernor, associations: int, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while in_use(governor) != associations:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_killed_client_held_comes_back(governor: MachineGovernor, tmp_path: Path) -> None:
    governor.load()
    with child(tmp_path, "hold") as client:
        assert says(client) == "ready False"
        assert says(client) == "held"
        assert in_use(governor) == 2

        client.kill()
        client.wait()

        until(governor, 0)
    assert isinstance(admitted(governor, ask(WorkClass.BULK)), Lease)


def test_when_the_holder_is_killed_another_takes_over_with_the_leases_that_are_out(
    governor: MachineGovernor, tmp_path: Path
) -> None:
    with child(tmp_path, "hold") as holder:
        assert says(holder) == "ready True"
        assert says(holder) == "held"
        mine = admitted(governor, ask(WorkClass.INTERACTIVE))
        assert not governor.is_holder

        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

        load = governor.load()
        assert governor.is_holder
        assert sum(load.associations.values()) == 3
        assert isinstance(governor.ask(ask(WorkClass.INTERACTIVE, "u")), Wait)
        ended(governor, mine, queries=1)
        assert in_use(governor) == 2  # those of the dead end after ten seconds


def test_no_more_is_used_than_the_rate_however_many_use_it_and_whoever_dies(tmp_path: Path) -> None:
    files = [tmp_path / f"used-{i}" for i in range(3)]
    with (
        files[0].open("wb") as one, files[1].open("wb") as two, files[2].open("wb") as three,
        child(tmp_path, "use", one) as first,
    ):  # fmt: skip
        deadline = time.monotonic() + 30
        while b"used" not in files[0].read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with child(tmp_path, "use", two), child(tmp_path, "use", three):
            time.sleep(2)
            first.kill()  # it holds the governor
            first.wait()
            time.sleep(2.5)

    times = sorted(
        float(line.split()[1])
        for file in files
        for line in file.read_text().splitlines()
        if line.startswith("used") and len(line.split()) == 2
    )
    assert all(b"used" in file.read_bytes() for file in files)
    assert len(times) > 2 * RATE
    for i, first_time in enumerate(times):
        within = sum(first_time <= later < first_time + 2 for later in times[i:])
        assert within <= 2 * RATE + BURST + 4  # what is written a little later than it was lent


def test_a_stop_reaches_every_process(governor: MachineGovernor, tmp_path: Path) -> None:
    with child(tmp_path, "hold") as holder:
        says(holder)
        says(holder)
        governor.stop("olga")

        assert isinstance(governor.ask(ask(WorkClass.INTERACTIVE)), Wait)
        assert "olga" in governor.load().stopped


def test_the_socket_is_its_owner_s_alone(governor: MachineGovernor, tmp_path: Path) -> None:
    admitted(governor, ask(WorkClass.INTERACTIVE))
    path = tmp_path / "governor-main.sock"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "governor-main.lock").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "governor-main.state").stat().st_mode) == 0o600


def test_a_foreign_process_is_hung_up_on_and_no_foreign_service_is_trusted(
    governor: MachineGovernor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    governor.load()
    monkeypatch.setattr("p2d.pacs.governor.service.user_of", lambda _: 65_534)
    other = SocketClient(tmp_path / "governor-main.sock")
    with pytest.raises(ConnectionError):
        other.load()
    other.close()

    monkeypatch.setattr("p2d.pacs.governor.client.user_of", lambda _: 65_534)
    with pytest.raises(Unavailable, match="another user"):
        SocketClient(tmp_path / "governor-main.sock")


def test_nonsense_on_the_socket_harms_nobody(governor: MachineGovernor, tmp_path: Path) -> None:
    governor.load()
    lines = [
        b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff\xfe\n", b'{"do": "fly"}\n', b'{"do": "ask"}\n',
        b'{"do": "report", "lease": "x", "used": {"images": -1}, "latencies": {}, "ending": null}\n',
        b'{"do": "report", "lease": "x", "used": {"images": NaN}, "latencies": {}, "ending": null}\n',
    ]  # fmt: skip
    with socket.socket(socket.AF_UNIX) as plain:
        with short_path(tmp_path / "governor-main.sock") as name:
            plain.connect(name)
        stream = plain.makefile("rwb")
        for line in lines:
            stream.write(line)
            stream.flush()
            assert b'"error"' in stream.readline()
        stream.write(b"x" * 200_000 + b"\n")
        stream.flush()
        stream.readline()
        stream.close()

    assert in_use(governor) == 0


@pytest.mark.parametrize("answer", [b"{}", b'{"wait": "long", "why": "so"}', b'{"lease": 1, "lent": []}'])
def test_a_service_that_answers_nonsense_cannot_be_reached(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        client = SocketClient(tmp_path / "s")
        serving, _ = listening.accept()
        with serving:
            for work in (client.load, lambda: client.ask(ask(WorkClass.BULK))):
                serving.sendall(answer + b"\n")
                with pytest.raises(Unavailable, match="makes no sense"):
                    work()
        client.close()


def test_a_state_folder_may_lie_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    members = [MachineGovernor("main", FEW, KillSwitch("main", deep), deep) for _ in range(2)]

    for member in members:
        member.load()

    assert [member.is_holder for member in members] == [True, False]
    for member in reversed(members):
        member.close()


def test_when_the_holder_leaves_in_peace_running_work_goes_on(tmp_path: Path) -> None:
    holder, other = (MachineGovernor("main", FEW, KillSwitch("main", tmp_path), tmp_path) for _ in range(2))
    holder.load()
    lease = admitted(other, Ask(WorkClass.BULK, Operation.RETRIEVE, "t", {Resource.IMAGES: 9}))

    holder.close()

    other.report(lease.lease_id, Report({Resource.IMAGES: 9}, ending=Ending.DONE))
    assert other.is_holder
    other.close()


def test_nobody_to_ask_means_no(tmp_path: Path) -> None:
    settings = KillSwitch("main", tmp_path)
    holder = MachineGovernor("main", FEW, settings, tmp_path)
    holder.load()
    (tmp_path / "governor-main.sock").unlink()
    other = MachineGovernor("main", FEW, settings, tmp_path)

    with pytest.raises(Unavailable, match="governor"):
        other.ask(ask(WorkClass.INTERACTIVE))
    holder.close()
    other.close()
