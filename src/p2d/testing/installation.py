"""A complete installation in one folder: keys, random secrets, settings. For demo and system tests.

A hospital makes the same files by hand (docs/howto/install.md), each zone on its own machine.
"""

import itertools
import os
import random
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2d.access.assertion import new_keypair
from p2d.identity.keys import create_key_file

_FIRST_PORT: Final = 12_000
_PORT_RANGES: Final = 8
_PORTS_EACH: Final = 2500
"""Up to 32,000; from 32,768 on Linux takes ports for connections as it likes."""

_drawn: Final = itertools.count(random.SystemRandom().randrange(_PORTS_EACH))

GATEWAY_RIGHTS: Final = (
    "patient:resolve",
    "patient:pseudonymise",
    "patient:create",
    "patient:date_shift",
    "case:resolve",
    "case:pseudonymise",
    "case:create",
    "accession:resolve",
    "accession:pseudonymise",
    "accession:create",
    "study:resolve",
    "study:pseudonymise",
    "study:create",
    "uid:derive",
)


@dataclass(frozen=True, slots=True)
class ArchiveAddress:
    """How the gateway reaches an archive; ``store_port`` is our Storage SCP where it retrieves by C-MOVE."""

    port: int
    called_ae_title: str
    calling_ae_title: str = "P2D"
    host: str = "127.0.0.1"
    retrieve: str = "get"
    query: str = "prove"
    store_port: int | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """Paths and addresses of an installation below ``folder``."""

    folder: Path
    identity_port: int
    gateway_port: int
    warehouse_port: int

    def settings(self, process: str) -> Path:
        """Return the settings file of *process* (identity, gateway, warehouse)."""
        return self.folder / process / f"{process}.toml"

    def secret(self, name: str) -> str:
        """Return the secret called *name* (service, operator, loader, researcher, officer, …)."""
        return (self.folder / "secrets" / name).read_text().strip()

    @property
    def private_key(self) -> bytes:
        """The warehouse's Ed25519 key for assertions, PEM."""
        return (self.folder / "secrets" / "assertion.pem").read_bytes()

    def url(self, process: str) -> str:
        """Return the base URL of *process*."""
        ports = {
            "identity": self.identity_port,
            "gateway": self.gateway_port,
            "warehouse": self.warehouse_port,
        }
        return f"http://127.0.0.1:{ports[process]}"


def free_ports(count: int) -> list[int]:
    """Return *count* loopback ports that nobody listens on, all different, and not given again for a while.

    They lie below those that the system hands out for outgoing connections, and every test worker draws from
    a range of its own: between the asking and the listening nobody else takes one.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PORT_RANGES
    first = _FIRST_PORT + worker * _PORTS_EACH
    ports: list[int] = []
    for _ in range(_PORTS_EACH):
        port = first + next(_drawn) % _PORTS_EACH
        if _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"no {count} of the ports from {first} to {first + _PORTS_EACH - 1} are free")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def install(folder: Path, archive: ArchiveAddress, *, images_deny: tuple[str, ...] = ("US",)) -> Installation:
    """Write an installation for *archive* below *folder*, which must be absent or empty."""
    identity_port, gateway_port, warehouse_port = free_ports(3)
    made = Installation(folder, identity_port, gateway_port, warehouse_port)
    for part in ("secrets", "identity", "gateway", "warehouse"):
        (folder / part).mkdir(mode=0o700, parents=True)
    for name in ("service", "operator", "loader", "researcher", "officer", "identity-client"):
        _write(folder / "secrets" / name, secrets.token_urlsafe(32).encode())
    private, public = new_keypair()
    _write(folder / "secrets" / "assertion.pem", private)
    _write(folder / "secrets" / "assertion.pub", public)
    create_key_file(folder / "identity" / "identity.key")
    _write(
        made.settings("identity"),
        _IDENTITY.format(port=identity_port, rights=_quoted(GATEWAY_RIGHTS)).encode(),
    )
    _write(made.settings("gateway"), _gateway(made, archive, images_deny).encode())
    _write(
        made.settings("warehouse"),
        _WAREHOUSE.format(port=warehouse_port, gateway=made.url("gateway")).encode(),
    )
    return made


def _quoted(items: tuple[str, ...]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


_IDENTITY: Final = """\
[identity]
port = {port}
state_dir = "."
database = "identity.sqlite"
key_file = "identity.key"

[[clients]]
name = "gateway"
secret = "../secrets/identity-client"
rights = [{rights}]
"""

_WAREHOUSE: Final = """\
[warehouse]
port = {port}
state_dir = "."
database = "warehouse.duckdb"
loader_secret = "../secrets/loader"
operator_secret = "../secrets/operator"
researcher_secret = "../secrets/researcher"
assertion_private_key = "../secrets/assertion.pem"

[gateway]
url = "{gateway}"
service_secret = "../secrets/service"

[disclosure]
researcher = "patients"
"""


def _gateway(made: Installation, archive: ArchiveAddress, images_deny: tuple[str, ...]) -> str:
    store = f"store_port = {archive.store_port}\n" if archive.store_port else ""
    return f"""\
[gateway]
port = {made.gateway_port}
state_dir = "."
service_secret = "../secrets/service"
operator_secret = "../secrets/operator"
assertion_public_key = "../secrets/assertion.pub"

[pacs]
host = "{archive.host}"
port = {archive.port}
called_ae_title = "{archive.called_ae_title}"
calling_ae_title = "{archive.calling_ae_title}"
query = "{archive.query}"
retrieve = "{archive.retrieve}"
{store}
[pacs.governor.limits]  # an archive of our own: as fast as it can
queries_per_minute = 600000
studies_per_minute = 600000
images_per_minute = 600000
megabytes_per_second = 2000
associations = 8
burst_seconds = 0.5

[identity]
url = "{made.url("identity")}"
secret = "../secrets/identity-client"

[warehouse]
url = "{made.url("warehouse")}"
secret = "../secrets/loader"

[images]
deny = [{_quoted(images_deny)}]

[review]
officer_secret = "../secrets/officer"
"""
