"""The archives that settings name, each with its connector, together as one ``Pacs``."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from p2d.audit.log import AuditLog
from p2d.flows.gateway.archive_orders import ArchiveOrders
from p2d.model.errors import Misconfigured
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.folder.connector import FolderArchive
from p2d.pacs.governor.archives import GovernedArchives
from p2d.pacs.governor.connect import connect_governor, kill_switch
from p2d.pacs.governor.governed import GovernedPacs
from p2d.pacs.governor.port import WorkClass
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.pacs.several import SeveralArchives
from p2d.settings import gateway
from p2d.settings.archive_profile import ArchiveProfile
from p2d.settings.file import read_settings
from p2d.settings.gateway import AnyArchive, Archive, WebArchive


def connect_archives(settings: Sequence[AnyArchive], state_dir: Path) -> GovernedArchives:
    """Return the archives of *settings*, preferred ones first, each behind its governor; none is asked yet.

    Raises:
        Misconfigured: a secret, certificate or authority that cannot be used.

    """
    return GovernedArchives(tuple(_governed(one, state_dir) for one in settings), SeveralArchives)


def _governed(settings: AnyArchive, state_dir: Path) -> Pacs:
    """Return one archive behind its governor; a folder needs none."""
    archive = connect_archive(settings)
    if isinstance(settings, gateway.FolderArchive):
        return archive
    return GovernedPacs(
        archive,
        connect_governor(settings.name, settings.governor, state_dir),
        settings.governor,
        WorkClass.INTERACTIVE,
        stopped=kill_switch(settings.name, settings.governor, state_dir).cause,
    )


@contextlib.contextmanager
def open_archive_orders(path: Path, user: str) -> Iterator[ArchiveOrders]:
    """Yield what *user* may order to the archives of the settings file at *path*; connects no archive.

    Raises:
        Misconfigured: the settings, or a governor's database file.

    """
    settings = read_settings(path, gateway.GatewaySettings)
    state = settings.gateway.state_dir
    governors = {
        one.name: connect_governor(one.name, one.governor, state)
        for one in settings.pacs
        if not isinstance(one, gateway.FolderArchive)
    }
    try:
        yield ArchiveOrders(governors, AuditLog(state / "audit.jsonl"), user)
    finally:
        for governor in governors.values():
            governor.close()


def connect_archive(settings: AnyArchive) -> Pacs:
    """Return the archive of *settings*; it is not asked yet.

    Raises:
        Misconfigured: as ``connect_archives``; also a profile that cannot be read.

    """
    match settings:
        case gateway.WebArchive():
            return DicomWebArchive(settings, _profile(settings))
        case gateway.FolderArchive():
            return FolderArchive(settings)
        case gateway.Archive(connector="pynetdicom"):
            return DimseArchive(settings)
        case gateway.Archive():
            return LeanArchive(settings, _profile(settings))


def _profile(settings: Archive | WebArchive) -> ArchiveProfile | None:
    if settings.profile is None:
        return None
    profile = read_settings(settings.profile, ArchiveProfile)
    if profile.archive != settings.name:
        raise Misconfigured(
            "pacs.profile",
            f"is of an archive called {profile.archive}",
            f"probe {settings.name} and name the file that it wrote",
        )
    return profile


def described(settings: AnyArchive) -> str:
    """Return what ``p2d check`` calls an archive, and how it asks whether it is there."""
    match settings:
        case gateway.WebArchive():
            return f"archive {settings.name} at {settings.url} (QIDO-RS)"
        case gateway.FolderArchive():
            return f"archive {settings.name} in {settings.folder} (folder)"
        case gateway.Archive():
            return f"archive {settings.called_ae_title} at {settings.host}:{settings.port} (C-ECHO)"
