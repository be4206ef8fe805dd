"""`[pacs]` of the gateway's settings: one archive or several, each kind with its own keys."""

from pathlib import Path

import pytest

from p2d.model.errors import Misconfigured
from p2d.settings.file import Strict, read_foreign_secret, read_settings
from p2d.settings.gateway import Archive, Archives, FolderArchive, WebArchive

DIMSE = 'host = "pacs"\ncalled_ae_title = "ARCHIVE"\n'
WEB = 'connector = "dicomweb"\nurl = "https://pacs/dicom-web"\n'
FOLDER = 'connector = "folder"\nfolder = "exports"\n'


class Tables(Strict):
    pacs: Archives


def read(tmp_path: Path, *tables: str) -> Tables:
    file = tmp_path / "gateway.toml"
    heading = "[pacs]\n" if len(tables) == 1 else "[[pacs]]\n"
    file.write_text("".join(heading + table for table in tables))
    return read_settings(file, Tables)


@pytest.mark.parametrize(("table", "kind"), [(DIMSE, Archive), (WEB, WebArchive), (FOLDER, FolderArchive)])
def test_one_table_is_one_archive_of_its_kind(tmp_path: Path, table: str, kind: type[Strict]) -> None:
    (one,) = read(tmp_path, table).pacs

    assert type(one) is kind
    assert one.name == "main"


def test_several_tables_are_several_archives_in_their_order(tmp_path: Path) -> None:
    named = [f'name = "{name}"\n{table}' for name, table in zip("abc", (WEB, DIMSE, FOLDER), strict=True)]

    found = read(tmp_path, *named).pacs

    assert [one.name for one in found] == ["a", "b", "c"]
    assert isinstance(found[2], FolderArchive)
    assert found[2].folder == tmp_path / "exports"


def test_pynetdicom_has_the_keys_of_dimse(tmp_path: Path) -> None:
    (one,) = read(tmp_path, f'connector = "pynetdicom"\n{DIMSE}').pacs

    assert isinstance(one, Archive)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ((DIMSE, DIMSE), "pacs: .*name"),
        (("",), "pacs.host"),
        ((f"port = 0\n{DIMSE}",), "toml: pacs.port"),
        (('connector = "fax"\n',), "toml: pacs: connector is none of"),
        ((FOLDER.replace("folder = ", "floder = "),), "pacs.folder: Field required|pacs.floder"),
        ((DIMSE, f'name = "b"\nfolder = "x"\n{DIMSE}'), "toml: pacs.1.folder"),
        ((f'user = "ann"\n{WEB}',), "user needs secret"),
        ((f'key = "k.pem"\n{WEB}',), "certificate and key"),
        ((WEB.replace("https://", "https://ann:secret@"),), "url is an address alone"),
        ((WEB.replace("https://", "ftp://"),), "pacs.url"),
    ],
    ids=[
        "one name twice",
        "no host",
        "no port",
        "fax",
        "misspelt",
        "foreign key",
        "no secret",
        "no key",
        "password",
        "ftp",
    ],
)
def test_what_does_not_fit_is_named_by_its_place_in_the_file(
    tmp_path: Path, tables: tuple[str, ...], message: str
) -> None:
    with pytest.raises(Misconfigured, match=message) as caught:
        read(tmp_path, *tables)

    assert "ann:secret" not in str(caught.value)


def test_a_secret_of_the_archive_may_be_weak_but_not_open_or_empty(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("orthanc\n")

    assert read_foreign_secret(secret, "pacs.secret").get_secret_value() == "orthanc"
    for content, mode in (("", 0o600), ("two\nlines", 0o600), ("orthanc", 0o644)):
        secret.write_text(content)
        secret.chmod(mode)
        with pytest.raises(Misconfigured, match=r"pacs\.secret"):
            read_foreign_secret(secret, "pacs.secret")
