"""Coverage-guided fuzzing (atheris) of what reads an archive's bytes: only P2D's own errors ever come out."""

import subprocess
import sys
from pathlib import Path

import pytest

from p2d.dimse import command as commands
from p2d.dimse import pdu
from p2d.dimse.pdu import AssociateAccept, ContextResult
from p2d.testing.datasets import ct
from p2d.testing.hostile import conversation, request
from p2d.testing.sender import content_of, storage_request

pytestmark = [pytest.mark.long, pytest.mark.system]

FUZZER = """
import sys
import atheris

with atheris.instrument_imports(include=["p2d.dimse", "p2d.dicom.arriving", "p2d.dicom.walk"]):
    from p2d.dimse import command, pdu
    from p2d.dimse.tap import HeaderTap, Unreadable
    from p2d.model.errors import P2DError
    from p2d.testing.hostile import UIDS, converse


def association(received):
    for parse in (pdu.parse_request, pdu.parse_accept, pdu.parse_reject, pdu.parse_abort):
        try:
            parse(received)
        except P2DError:
            pass


def data(received):
    try:
        for value in pdu.data_values(memoryview(received)):
            if value.is_command:
                command.parse(bytes(value.fragment))
    except P2DError:
        pass


def tap(received):
    if not received:
        return
    one = HeaderTap(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")[received[0] & 1], limit=2000)
    step = 1 + received[0]
    try:
        for start in range(1, len(received), step):
            one.write(received[start : start + step], last=start + step >= len(received))
            assert len(one._buffer) <= 2008
    except Unreadable:
        pass
    assert one.header is None or len(one.header) <= 2000


def scp(received):
    assert all(one.sop_instance_uid in UIDS for one in converse(received, pixels=len(received) % 2 == 0))


atheris.Setup(sys.argv[1:], {"association": association, "data": data, "tap": tap, "scp": scp}[sys.argv[1]])
atheris.Fuzz()
"""
LIMITS = ["-seed=3", "-max_len=4096", "-rss_limit_mb=1024", "-timeout=20"]
COMMAND = commands.encode(storage_request("1.2.3", message_id=1, has_data_set=True))
SEEDS = {
    "association": [
        request()[6:],
        pdu.encode(AssociateAccept("P2D", "ARCHIVE", (ContextResult(1, 0, "1.2.840.10008.1.2"),)))[6:],
    ],
    "data": [b"".join(pdu.data(1, COMMAND, 0, is_command=True))[6:]],
    "tap": [b"\xff" + content_of(ct()), b"\xfe" + content_of(ct(), "1.2.840.10008.1.2")],
    "scp": [b"".join(conversation()), request()],
}


@pytest.mark.parametrize(
    ("target", "runs"), [("association", 200_000), ("data", 200_000), ("tap", 200_000), ("scp", 20_000)]
)
def test_a_fuzzer_finds_nothing_but_our_own_errors(target: str, runs: int, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[target]):
        (corpus / str(number)).write_bytes(seed)

    ended = subprocess.run(
        [sys.executable, "-c", FUZZER, target, str(corpus), f"-runs={runs}", *LIMITS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=1800,
        check=False,
    )

    guilty = {file.name: file.read_bytes().hex() for file in tmp_path.glob("*-*")}  # what the fuzzer leaves
    assert ended.returncode == 0, f"{ended.stderr[-3000:]}\n{guilty}"
    assert f"Done {runs} runs" in ended.stderr
