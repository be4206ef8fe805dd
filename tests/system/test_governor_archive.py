"""What a real archive sees of a governed P2D: no more than the rates, and nothing after a stop."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from p2d.pacs.governor.connect import connect_governor
from p2d.settings.governor import Governing, Limits
from p2d.testing.datasets import three_patients
from p2d.testing.servers import RunningArchive, orthanc, store
from p2d.testing.waiting import until

pytestmark = pytest.mark.system

FIND_REQUEST, STORE_REQUEST = 0x0020, 0x0001
QUERIES, IMAGES, BURST_SECONDS = 25, 60, 0.5
GOVERNING = Governing(
    limits=Limits(
        queries_per_minute=QUERIES * 60, images_per_minute=IMAGES * 60, burst_seconds=BURST_SECONDS,
        studies_per_minute=60_000, associations=3,
    )
)  # fmt: skip

WORKER = """
import sys, time
from pathlib import Path
from p2d.model.errors import P2DError
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.governor.connect import connect_governor, kill_switch
from p2d.pacs.governor.governed import GovernedPacs
from p2d.pacs.governor.port import WorkClass
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Query
from p2d.settings.gateway import Archive
from p2d.settings.governor import Governing

folder, port = Path(sys.argv[1]), int(sys.argv[2])
governing = Governing.model_validate_json(sys.argv[3])
archive = LeanArchive(Archive(host="127.0.0.1", port=port, called_ae_title="ORTHANC", query="relational"))
pacs = GovernedPacs(
    archive, connect_governor("main", governing, folder), governing, WorkClass(sys.argv[4]),
    stopped=kill_switch("main", governing, folder).cause,
)
done = 0
while True:
    for patient in ("P-1", "P-2", "P-3"):
        try:
            headers = list(pacs.find(Query(Level.INSTANCE, PatientId(patient))))
            for _ in range(8):
                pacs.owners(accession_number="ACC-11")
            done += sum(1 for _ in pacs.retrieve(PatientId(patient), headers))
            print("done", done, flush=True)
        except P2DError as error:
            print(type(error).__name__, error, flush=True)
            time.sleep(0.05)
"""


class Tap:
    """Passes connections on to an archive and notes when which DIMSE command passes, and any byte to it."""

    def __init__(self, archive: RunningArchive) -> None:
        self.commands: list[tuple[float, int]] = []
        self.sent: list[float] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self._archive = archive
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._begin(self._accept)

    def close(self) -> None:
        self.is_open.set()
        for one in (self._listener, *self._ends):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(1)
        for one in (self._listener, *self._ends):
            one.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._archive.host, self._archive.port))
                self._ends += [client, server]
                for source, sink, is_ours in ((client, server, True), (server, client, False)):
                    for one in (source, sink):
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._begin(self._pump, source, sink, is_ours)

    def _pump(self, source: socket.socket, sink: socket.socket, is_ours: bool) -> None:
        with suppress(OSError), source.makefile("rb") as stream:
            while len(head := stream.read(6)) == 6:
                body = stream.read(int.from_bytes(head[2:], "big"))
                now = time.monotonic()
                if is_ours:
                    self.sent.append(now)
                if head[0] == 4:
                    self.commands += [(now, one) for one in commands_of(body)]
                if not is_ours:
                    self.is_open.wait()
                sink.sendall(head + body)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def worst(self, command: int, seconds: float) -> int:
        times = sorted(when for when, one in self.commands if one == command)
        return max(
            (sum(first <= later < first + seconds for later in times[i:]) for i, first in enumerate(times)),
            default=0,
        )


def commands_of(body: bytes) -> Iterator[int]:
    """Yield the Command Field (0000,0100) of each command set in a P-DATA-TF PDU."""
    position = 0
    while position + 6 <= len(body):
        length = int.from_bytes(body[position : position + 4], "big")
        if body[position + 5] & 1:
            command = body[position + 6 : position + 4 + length]
            at = command.find(struct.pack("<HHI", 0x0000, 0x0100, 2))
            if at >= 0:
                yield int.from_bytes(command[at + 8 : at + 10], "little")
        position += 4 + length


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        store(archive, (one.render() for one in three_patients().listed))
        yield archive


@pytest.fixture
def tap(server: RunningArchive) -> Iterator[Tap]:
    made = Tap(server)
    yield made
    made.close()


@contextmanager
def workers(folder: Path, tap: Tap, *classes: str) -> Iterator[list[Path]]:
    """Run one process a class of work, all asking without end, each with its log."""
    logs = [folder / f"worker-{i}.log" for i in range(len(classes))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ExitStack() as stack:
        for log, work_class in zip(logs, classes, strict=True):
            command = [sys.executable, "-c", WORKER, str(folder), str(tap.port), GOVERNING.model_dump_json()]
            output = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(
                [*command, work_class], stdout=output, stderr=subprocess.STDOUT, env=env
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield logs


def test_the_archive_is_asked_no_more_than_the_rates_by_all_processes_together(
    tmp_path: Path, tap: Tap
) -> None:
    with workers(tmp_path, tap, "bulk", "bulk") as logs:
        until(lambda: all("done" in log.read_text() for log in logs), seconds=60)
        first = time.monotonic()
        until(lambda: time.monotonic() - first > 4.5, seconds=30)

    assert sum(one == FIND_REQUEST for _, one in tap.commands) > QUERIES
    assert sum(one == STORE_REQUEST for _, one in tap.commands) > IMAGES
    late = 0.2  # what was allowed at the end of one window passes at the beginning of the next
    for seconds in (1.0, 3.0):
        for command, rate in ((FIND_REQUEST, QUERIES), (STORE_REQUEST, IMAGES)):
            assert tap.worst(command, seconds) <= rate * (seconds + BURST_SECONDS + late) + 1


def test_after_a_stop_nothing_reaches_the_archive(tmp_path: Path, tap: Tap) -> None:
    with workers(tmp_path, tap, "bulk", "bulk") as logs:
        until(lambda: all("done" in log.read_text() for log in logs), seconds=60)
        tap.is_open.clear()  # the archive hangs: operations are under way
        asked = len(tap.sent)
        time.sleep(0.5)
        stopped = time.monotonic()

        governor = connect_governor("main", GOVERNING, tmp_path)
        governor.stop("olga")
        until(lambda: all("NotNow" in log.read_text() for log in logs), seconds=5)
        tap.is_open.set()
        until(lambda: time.monotonic() - stopped > 7, seconds=30)

        assert asked
        assert [when - stopped for when in tap.sent if when > stopped + 5] == []
        governor.resume()
        until(lambda: any(when > stopped + 7 for when in tap.sent), seconds=30)
        governor.close()
