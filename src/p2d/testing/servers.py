"""Real archives for system tests: Orthanc and DCMTK's dcmqrscp, on free loopback ports."""

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

from p2d.testing.certificates import CertificateFiles
from p2d.testing.installation import free_ports
from p2d.testing.waiting import until

ORTHANC: Final = Path("/usr/sbin/Orthanc")
DICOM_WEB: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
DCMQRSCP: Final = Path("/usr/bin/dcmqrscp")
_ATTEMPTS: Final = 3
_STARTING_SECONDS: Final = 60.0
_VERIFICATION: Final = "1.2.840.10008.1.1"


@dataclass(frozen=True, slots=True)
class RunningArchive:
    """A server that answers: its DIMSE address, and for Orthanc its web address and random password."""

    host: str
    port: int
    ae_title: str
    http_port: int = 0
    user: str = ""
    password: str = ""


@contextmanager
def orthanc(
    folder: Path,
    *,
    peer: str = "P2D",
    store_port: int = 0,
    tls: tuple[CertificateFiles, Path] | None = None,
    delays: bool = False,
) -> Iterator[RunningArchive]:
    """Run an Orthanc that keeps its files in *folder* and knows *peer* as a modality on *store_port*.

    With *tls*, its certificate and the authorities it trusts, it speaks DICOM over TLS in both directions.
    With *delays* it sends as installed, with Nagle's algorithm on.
    """
    archive = RunningArchive(
        "127.0.0.1",
        free_ports(1)[0],
        "ORTHANC",
        http_port=free_ports(1)[0],
        user="p2d",
        password=secrets.token_urlsafe(24),
    )
    settings = {
        "Name": "P2D test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(DICOM_WEB)] if DICOM_WEB.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "HttpServerEnabled": True,
        "HttpPort": archive.http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {archive.user: archive.password},
        "DicomServerEnabled": True,
        "DicomAet": archive.ae_title,
        "DicomPort": archive.port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomModalities": {
            "p2d": {
                "AET": peer,
                "Host": "127.0.0.1",
                "Port": store_port or archive.port,
                "AllowEcho": True,
                "AllowFind": True,
                "AllowGet": True,
                "AllowMove": True,
                "AllowStore": True,
                "UseDicomTls": tls is not None,
            }
        },
        **_tls_settings(tls),
        "StableAge": 1,
        "LimitFindInstances": 0,
        "LimitFindResults": 0,
        "SaveJobs": False,
        "DefaultEncoding": "Utf8",
    }
    (folder / "storage").mkdir(parents=True)
    file = folder / "orthanc.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(settings), encoding="utf-8")
    with running([str(ORTHANC), str(file)], folder / "orthanc.log", delays=delays):
        if tls is None:
            until_echo(archive, peer)
        else:
            until(lambda: _listens(archive), seconds=_STARTING_SECONDS)
        yield archive


def _tls_settings(tls: tuple[CertificateFiles, Path] | None) -> dict[str, object]:
    if tls is None:
        return {}
    own, authorities = tls
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(own.certificate),
        "DicomTlsPrivateKey": str(own.key),
        "DicomTlsTrustedCertificates": str(authorities),
        "DicomTlsRemoteCertificateRequired": True,
    }


@contextmanager
def dcmqrscp(folder: Path, *, peer: str = "P2D", store_port: int = 0) -> Iterator[RunningArchive]:
    """Run a dcmqrscp (up to 4,000 instances) that knows *peer* as a C-MOVE destination on *store_port*."""
    archive = RunningArchive("127.0.0.1", free_ports(1)[0], "DCMQRSCP")
    storage = folder / "storage"
    storage.mkdir(parents=True)
    file = folder / "dcmqrscp.cfg"
    file.write_text(
        f"""NetworkTCPPort = {archive.port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
peer = ({peer}, 127.0.0.1, {store_port or archive.port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{archive.ae_title} {storage} RW (4000, 1024mb) ANY
AETable END
""",
        encoding="utf-8",
    )
    with running([str(DCMQRSCP), "-c", str(file)], folder / "dcmqrscp.log"):
        until_echo(archive, peer)
        yield archive


@contextmanager
def running(
    command: list[str], log: Path, *, delays: bool = False, more: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run *command* until the block ends; its output goes to *log*, *more* joins its environment."""
    with log.open("wb") as output:
        # DCMTK and Orthanc leave the Nagle delay on unless told so; tests are not to wait for it
        env = {**os.environ, "TCP_NODELAY": "1", **(more or {})}
        if delays:
            del env["TCP_NODELAY"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def until_echo(archive: RunningArchive, calling: str) -> None:
    """Wait until *archive* answers a C-ECHO.

    Raises:
        TimeoutError: it does not do so within a minute.

    """
    deadline = time.monotonic() + _STARTING_SECONDS
    while time.monotonic() < deadline:
        if not _listens(archive):
            time.sleep(0.05)
            continue
        entity = AE(ae_title=calling)
        entity.add_requested_context(_VERIFICATION)
        association = entity.associate(archive.host, archive.port, ae_title=archive.ae_title)
        if association.is_established:
            status = association.send_c_echo()
            association.release()
            if status and status.Status == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{archive.ae_title} does not answer")


def _listens(archive: RunningArchive) -> bool:
    try:
        socket.create_connection((archive.host, archive.port), timeout=5).close()
    except OSError:
        return False
    return True


def store(archive: RunningArchive, datasets: Iterable[Dataset], *, calling: str = "LOADER") -> int:
    """Send *datasets* to *archive* by C-STORE; return how many it took.

    An answer that does not come (pynetdicom can lose one) is asked for again over a new association.

    Raises:
        RuntimeError: no association, or an object is refused.

    """
    waiting = list(datasets)
    taken = failures = 0
    while taken < len(waiting):
        before = taken
        taken += _stored(archive, waiting[taken:], calling)
        failures = failures + 1 if taken == before else 0
        if failures == _ATTEMPTS:
            raise RuntimeError(f"{archive.ae_title} does not answer to an object")
    return taken


def _stored(archive: RunningArchive, waiting: list[Dataset], calling: str) -> int:
    """Send *waiting* over one association; return how many were taken before an answer was missing."""
    kinds = sorted({(str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)) for one in waiting})
    entity = AE(ae_title=calling)
    entity.dimse_timeout = 3
    association = entity.associate(
        archive.host,
        archive.port,
        contexts=[build_context(sop_class, syntax) for sop_class, syntax in kinds],
        ae_title=archive.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, _undelayed)],
    )
    if not association.is_established:
        raise RuntimeError(f"{archive.ae_title} refuses the association")
    try:
        for count, dataset in enumerate(waiting):
            status = association.send_c_store(dataset)
            if not status:
                return count
            if status.Status != 0:
                raise RuntimeError(f"{archive.ae_title} refuses an object: status 0x{status.Status:04X}")
    finally:
        association.release()
    return len(waiting)


def _undelayed(event: Any) -> None:
    """Send at once and acknowledge at once: loading is not what these tests measure."""
    plain: socket.socket = event.assoc.dul.socket.socket
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
