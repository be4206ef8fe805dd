"""Composition root of the identity process (trusted third party): settings, keys, table, clients, server.

It loads nothing of archives or warehouse, prints no item, and leaves no core dump.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from p2d.audit.log import AuditLog
from p2d.identity.csv_table import CsvTable
from p2d.identity.keys import read_key_file
from p2d.identity.service import Asked, IdentityService, Outcome, Recorder
from p2d.identity.table import IdentityTable
from p2d.main.process import forbid_core_dumps, serve_app
from p2d.model.errors import Misconfigured
from p2d.settings.file import read_secret, read_settings
from p2d.settings.identity import IdentitySettings
from p2d.web.identity.app import ClientSecret, create_app

AUDIT_FILE: Final = "audit.jsonl"


def read(path: Path) -> IdentitySettings:
    """Return identity's settings file.

    Raises:
        Misconfigured: as ``read_settings``.

    """
    return read_settings(path, IdentitySettings)


def open_identity_table(settings_path: Path) -> IdentityTable:
    """Return the own table that the identity settings at *settings_path* name, for a command on its machine.

    Raises:
        Misconfigured: settings, key file or database are wrong.

    """
    forbid_core_dumps()
    return _table(read(settings_path))


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
    log = AuditLog(settings.identity.state_dir / AUDIT_FILE)
    service = IdentityService(_table(settings), foreign, _recorder(log))
    return create_app(service, clients)


def serve(settings_path: Path) -> None:
    """Serve identity as the settings file at *settings_path* describes, until stopped.

    Raises:
        Misconfigured: settings, secrets, key file or database are wrong, or the port is taken.

    """
    forbid_core_dumps()
    settings = read(settings_path)
    serve_app(build(settings), settings.identity.host, settings.identity.port, "identity.port")


def _table(settings: IdentitySettings) -> IdentityTable:
    keys = read_key_file(settings.identity.key_file)
    return IdentityTable(
        settings.identity.database,
        keys,
        settings.identity.max_shift_days,
        by_weeks=settings.identity.shift_by_weeks,
    )


def _recorder(log: AuditLog) -> Recorder:
    @contextmanager
    def record(asked: Asked) -> Iterator[Callable[[Outcome], None]]:
        subject = {"domain": str(asked.domain), "count": asked.count}
        with log.query(action=asked.action, user=asked.client, session="", subject=subject) as entry:
            yield lambda outcome: entry.outcome(**outcome)

    return record
