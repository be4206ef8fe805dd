"""What settings name is what is connected."""

from pathlib import Path

import pytest

from p2d.main.archives import connect_archive, connect_archives, described
from p2d.model.errors import Misconfigured, Unavailable
from p2d.pacs.dicomweb.connector import DicomWebArchive
from p2d.pacs.folder.connector import FolderArchive
from p2d.pacs.governor.governed import GovernedPacs
from p2d.pacs.governor.port import WorkClass
from p2d.pacs.lean.connector import LeanArchive
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.pacs.several import SeveralArchives
from p2d.settings.gateway import AnyArchive, Archive, WebArchive
from p2d.settings.gateway import FolderArchive as FolderSettings

DIMSE = {"host": "127.0.0.1", "port": 1, "called_ae_title": "ARCHIVE"}


def settings(folder: Path) -> list[tuple[AnyArchive, type]]:
    return [
        (Archive.model_validate(DIMSE), LeanArchive),
        (Archive.model_validate({**DIMSE, "connector": "pynetdicom"}), DimseArchive),
        (
            WebArchive.model_validate({"connector": "dicomweb", "url": "http://127.0.0.1:1/web"}),
            DicomWebArchive,
        ),
        (FolderSettings.model_validate({"connector": "folder", "folder": folder}), FolderArchive),
    ]


def test_each_kind_of_settings_has_its_connector(tmp_path: Path) -> None:
    for one, kind in settings(tmp_path):
        archive = connect_archive(one)
        archive.close()

        assert type(archive) is kind
        assert archive.name == "main"


def test_one_archive_stands_for_itself_and_several_are_joined(tmp_path: Path) -> None:
    several = [one for one, _ in settings(tmp_path)]
    alone = connect_archives(several[3:], tmp_path).for_class(WorkClass.BULK)
    joined = connect_archives(several, tmp_path).for_class(WorkClass.BULK)
    alone.close()
    joined.close()

    assert isinstance(alone, FolderArchive)
    assert isinstance(joined, SeveralArchives)


def test_every_archive_but_a_folder_is_asked_through_its_governor(tmp_path: Path) -> None:
    archives = [*connect_archives([one for one, _ in settings(tmp_path)], tmp_path)]
    for one in archives:
        one.close()

    assert [type(one) for one in archives] == [GovernedPacs, GovernedPacs, GovernedPacs, FolderArchive]


def test_a_check_asks_an_archive_and_says_how(tmp_path: Path) -> None:
    dimse, _, web, folder = (one for one, _ in settings(tmp_path))

    connect_archive(folder).echo()
    for one in (dimse, web):
        archive = connect_archive(one)
        with pytest.raises(Unavailable):
            archive.echo()
        archive.close()
    assert [described(one) for one in (dimse, web)] == [
        "archive ARCHIVE at 127.0.0.1:1 (C-ECHO)",
        "archive main at http://127.0.0.1:1/web (QIDO-RS)",
    ]


def test_a_profile_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text("archive = 1")
    one = Archive.model_validate({**DIMSE, "profile": tmp_path / "profile.toml"})

    with pytest.raises(Misconfigured, match=r"profile\.toml: archive"):
        connect_archive(one)
