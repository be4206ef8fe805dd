"""The archives that settings name, each with its connector, together as one ``Pacs``."""

from collections.abc import Sequence

from p2d.model.errors import Misconfigured
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.folder.connector import FolderArchive
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.port import Pacs
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.pacs.several import SeveralArchives
from p2d.settings import gateway
from p2d.settings.archive_profile import ArchiveProfile
from p2d.settings.file import read_settings
from p2d.settings.gateway import AnyArchive, Archive, WebArchive


def connect_archives(settings: Sequence[AnyArchive]) -> Pacs:
    """Return the archives of *settings*, preferred ones first; none is asked yet.

    Raises:
        Misconfigured: a secret, certificate or authority that cannot be used.

    """
    archives = [connect_archive(one) for one in settings]
    return archives[0] if len(archives) == 1 else SeveralArchives(archives)


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


def echo(settings: AnyArchive) -> None:
    """Ask the archive of *settings* whether it answers.

    Raises:
        Unavailable, Misconfigured, ProtocolViolation: as ``Pacs.echo``.

    """
    archive = connect_archive(settings)
    try:
        archive.echo()
    finally:
        archive.close()
