"""Composition root of the identity process (trusted third party): settings, keys, table, clients, server.

It loads nothing of archives or warehouse, prints no item, and leaves no core dump.
"""

import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from p2d.identity.csv_table import CsvTable
from p2d.identity.http import HttpIdentity
from p2d.identity.keys import read_key_file
from p2d.identity.port import Identity
from p2d.identity.service import IdentityService, Recorder, no_record
from p2d.identity.table import IdentityTable
from p2d.model.errors import Misconfigured
from p2d.settings.file import read_secret, read_settings
from p2d.settings.gateway import GatewaySettings
from p2d.settings.identity import IdentitySettings
from p2d.web.identity.app import ClientSecret, create_app

_CONNECTIONS: Final = 64
_IDLE_SECONDS: Final = 30


def open_table(settings_path: Path) -> IdentityTable:
    """Return the own table that the identity settings at *settings_path* name.

    Raises:
        Misconfigured: settings, key file or database are wrong.

    """
    return _table(read_settings(settings_path, IdentitySettings))


def open_client(settings_path: Path) -> Identity:
    """Return the connector to the identity process that the gateway settings at *settings_path* name.

    Raises:
        Misconfigured: settings or secret file are wrong.

    """
    peer = read_settings(settings_path, GatewaySettings).identity
    secret = read_secret(peer.secret, "identity.secret").get_secret_value()
    return HttpIdentity(str(peer.url), secret, peer.timeout_seconds)


def build(settings: IdentitySettings) -> FastAPI:
    """Return the identity application for *settings*.

    Raises:
        Misconfigured: a secret is weak or shared, or key file, database or foreign table are wrong.

    """
    clients = [
        ClientSecret.of(
            client.name,
            read_secret(client.secret, f"clients.{client.name}").get_secret_value(),
            client.rights,
        )
        for client in settings.clients
    ]
    if len({client.digest for client in clients}) != len(clients):
        raise Misconfigured("clients", "two clients share one secret", "give each client its own")
    foreign = CsvTable(settings.patient_table.path) if settings.patient_table else None
    service = IdentityService(_table(settings), foreign, _recorder(settings))
    return create_app(service, clients)


def serve(settings_path: Path, ready: Callable[[str], None] | None = None) -> None:
    """Run the identity process until it is told to stop; *ready* is called with its URL once it listens.

    Raises:
        Misconfigured: settings, secrets, key file or database are wrong, or the port is taken.

    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings = read_settings(settings_path, IdentitySettings)
    listener = settings.identity
    config = uvicorn.Config(
        build(settings),
        host=listener.host,
        port=listener.port,
        access_log=False,
        server_header=False,
        log_level="warning",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_IDLE_SECONDS,
    )
    server = _Server(config, ready, f"http://{listener.host}:{listener.port}")
    try:
        server.run()
    except SystemExit:
        problem = f"cannot listen on {listener.host}:{listener.port}"
        raise Misconfigured("identity.port", problem, "free the port or name another") from None


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None] | None, url: str) -> None:
        super().__init__(config)
        self._ready = ready
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then call back."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            self._ready(self._url)


def _table(settings: IdentitySettings) -> IdentityTable:
    keys = read_key_file(settings.identity.key_file)
    return IdentityTable(settings.identity.database, keys, settings.identity.max_shift_days)


def _recorder(settings: IdentitySettings) -> Recorder:
    del settings
    return no_record
