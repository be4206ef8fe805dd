"""Identity as a command in the hospital zone sees it: the service, over HTTP, with the gateway's secret."""

from pathlib import Path

from p2d.identity.http import HttpIdentity
from p2d.identity.port import Identity
from p2d.main.gateway import read
from p2d.settings.file import read_secret


def open_identity(path: Path) -> Identity:
    """Return the identity service named by the gateway's settings file at *path*."""
    peer = read(path).identity
    secret = read_secret(peer.secret, "identity.secret").get_secret_value()
    return HttpIdentity(str(peer.url), secret, peer.timeout_seconds)
