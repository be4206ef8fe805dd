"""P2D's own connector, with the profile that ``p2d probe`` writes of Orthanc."""

from collections.abc import Sequence

from p2d.pacs.lean.connector import LeanArchive
from p2d.settings.archive_profile import ArchiveProfile, Finding, Measured, Retrieving
from p2d.settings.gateway import Archive
from p2d.testing.servers import RunningArchive


def lean(
    archive: RunningArchive,
    classes: Sequence[str],
    *,
    port: int = 0,
    list_length: int = 500,
    associations: int = 4,
) -> LeanArchive:
    """Return the connector to *archive*, or to what stands before it on *port*."""
    profile = ArchiveProfile(
        archive="main",
        find=Finding(relational_series=True, relational_instance=True, model="patient-root"),
        retrieve=Retrieving(
            get=True,
            list_length=list_length,
            lists_need_upper_keys=False,
            series=list_length > 1,
            study=list_length > 1,
            sop_classes=tuple(classes),
        ),
        measured=Measured(associations=associations),
    )
    settings = Archive(
        host=archive.host,
        port=port or archive.port,
        called_ae_title=archive.ae_title,
        calling_ae_title="P2D",
        list_length=list_length,
        associations=associations,
    )
    return LeanArchive(settings, profile)
