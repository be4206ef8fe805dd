"""Independent senders store into our Storage SCP: DCMTK (plain and TLS), Orthanc, pynetdicom."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import RLELossless

from p2d.dimse.acceptor import Rules
from p2d.dimse.awaited import Arrived, Awaited
from p2d.dimse.listener import Door, StoreScp
from p2d.dimse.services import EXPLICIT
from p2d.dimse.tls import Tls, TlsFiles
from p2d.testing.certificates import Authority, CertificateFiles
from p2d.testing.datasets import ct
from p2d.testing.installation import free_ports
from p2d.testing.sender import GATEWAY, content_of
from p2d.testing.servers import RunningArchive, orthanc, store
from p2d.testing.waiting import until

pytestmark = pytest.mark.system

STORESCU = "/usr/bin/storescu"
ROOT = "1.2.826.0.1.3680043.8.498.77.5"


@contextmanager
def scp(*titles: str, port: int = 0, tls: Tls | None = None) -> Iterator[StoreScp]:
    one = StoreScp(Door("127.0.0.1", port), Rules(GATEWAY, frozenset(titles)), tls)
    one.start()
    try:
        yield one
    finally:
        one.stop()


def images() -> list[Dataset]:
    """Return images of a few sizes and of both ways to hold pixel data."""
    small = ct(SOPInstanceUID=f"{ROOT}.1")
    large = ct(SOPInstanceUID=f"{ROOT}.2", Rows=1024, Columns=1024, PixelData=bytes(range(256)) * 8192)
    compressed = ct(SOPInstanceUID=f"{ROOT}.3", Rows=64, Columns=64, PixelData=bytes(range(256)) * 32)
    compressed.compress(RLELossless, generate_instance_uid=False)
    return [small, large, compressed]


def received(one: StoreScp, expected: list[Dataset], send: Callable[[], object]) -> list[Arrived]:
    awaited = Awaited(str(image.SOPInstanceUID) for image in expected)
    with one.expecting(awaited) as delivery:
        send()
        arrived = delivery.rest(0.1)
    assert awaited.missing == []
    assert (awaited.counts.refused, awaited.counts.duplicates) == (0, 0)
    return sorted(arrived, key=lambda item: item.sop_instance_uid)


def equal(arrived: list[Arrived], expected: list[Dataset]) -> bool:
    for item, image in zip(arrived, expected, strict=True):
        assert item.transfer_syntax_uid == image.file_meta.TransferSyntaxUID
        found = read_dataset(BytesIO(item.content[:]), is_implicit_VR=False, is_little_endian=True)
        assert found["PixelData"].value == image["PixelData"].value
        assert found == read_dataset(BytesIO(content_of(image)), is_implicit_VR=False, is_little_endian=True)
    return True


def test_dcmtk_stores_as_it_is(tmp_path: Path) -> None:
    sent = [image for image in images() if image.file_meta.TransferSyntaxUID == EXPLICIT]
    files = saved(sent, tmp_path)
    with scp("STORESCU") as one:
        arrived = received(one, sent, lambda: storescu(one, *files))

    assert equal(arrived, sent)


def saved(sent: list[Dataset], folder: Path) -> list[str]:
    files = []
    for number, image in enumerate(sent):
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        files.append(str(folder / f"{number}.dcm"))
    return files


def storescu(one: StoreScp, *arguments: str, fails: bool = False) -> str:
    options = [text for text in arguments if not text.endswith(".dcm")]
    files = [text for text in arguments if text.endswith(".dcm")]
    command = [STORESCU, "-v", "-aec", GATEWAY, *options, "127.0.0.1", str(one.port), *files]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode != 0) == fails, ended.stderr[-2000:]
    return ended.stderr


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def trusting(authority: Authority) -> Tls:
    own = authority.issue("gateway", "gateway.example")
    return Tls(TlsFiles(own.certificate, own.key, authority.certificate, frozenset({"archive.example"})))


def tls_options(own: CertificateFiles, authority: Authority) -> list[str]:
    return ["+tls", str(own.key), str(own.certificate), "+cf", str(authority.certificate)]


@pytest.mark.parametrize("profile", ["+px", "+py", "+pz"])  # the three BCP 195 profiles of DCMTK
def test_dcmtk_stores_over_tls(authority: Authority, tmp_path: Path, profile: str) -> None:
    sent = images()[:1]
    files = saved(sent, tmp_path)
    own = authority.issue("archive", "archive.example")
    with scp("STORESCU", tls=trusting(authority)) as one:
        options = [*tls_options(own, authority), profile]
        arrived = received(one, sent, lambda: storescu(one, *options, *files))

    assert equal(arrived, sent)


def test_dcmtk_is_refused_without_tls_and_with_a_strange_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    files = saved(images()[:1], tmp_path)
    stranger = authority.issue("stranger", "stranger.example")
    with scp("STORESCU", tls=trusting(authority)) as one:
        storescu(one, *files, fails=True)
        storescu(one, *tls_options(stranger, authority), *files, fails=True)
        until(lambda: len(one.refusals) > 1)

        assert set(one.refusals) == {
            "it speaks no TLS",
            "its certificate is not that of the configured archive",
        }


def test_pynetdicom_stores_as_it_is() -> None:
    sent = images()
    with scp("LOADER") as one:
        address = RunningArchive("127.0.0.1", one.port, GATEWAY)
        arrived = received(one, sent, lambda: store(address, sent))

    assert equal(arrived, sent)


def test_orthanc_stores_as_it_is(tmp_path: Path) -> None:
    sent = images()
    (port,) = free_ports(1)
    with orthanc(tmp_path, peer=GATEWAY, store_port=port) as server, scp("ORTHANC", port=port) as one:
        store(server, sent)

        def send() -> None:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{server.http_port}", auth=(server.user, server.password)
            ) as client:
                held = client.get("/instances").json()
                assert client.post("/modalities/p2d/store", json=held, timeout=60).is_success

        arrived = received(one, sent, send)

    assert equal(arrived, sent)
