"""The settings of TLS towards an archive: whose certificate is taken, and what is no fingerprint."""

from pathlib import Path

import pytest

from p2d.model.errors import Misconfigured
from p2d.pacs.pynetdicom.connector import DimseArchive
from p2d.pacs.tls import tls_of
from p2d.settings.file import validated
from p2d.settings.gateway import Archive, Tls
from p2d.testing.certificates import Authority


def archive(tls: dict[str, object] | None, folder: Path) -> Archive:
    table: dict[str, object] = {"host": "pacs.example", "called_ae_title": "PACS"}
    if tls is not None:
        table["tls"] = tls
    return validated(table, folder / "gateway.toml", Archive)


def files(folder: Path) -> dict[str, object]:
    authority = Authority(folder)
    own = authority.issue("gateway")
    return {
        "certificate": own.certificate.name,
        "key": own.key.name,
        "authorities": authority.certificate.name,
    }


def test_an_archive_without_the_table_speaks_without_tls(tmp_path: Path) -> None:
    assert tls_of(archive(None, tmp_path)) is None


def test_the_host_is_the_name_that_counts_unless_others_are_given(tmp_path: Path) -> None:
    table = files(tmp_path)

    plain = tls_of(archive(table, tmp_path))
    named = tls_of(archive({**table, "names": ["one", "two"]}, tmp_path))

    assert plain is not None
    assert named is not None
    assert plain.files.peer_names == {"pacs.example"}
    assert named.files.peer_names == {"one", "two"}


def test_fingerprints_are_taken_as_tools_print_them(tmp_path: Path) -> None:
    printed = ":".join(["AB"] * 32)
    tls = archive({**files(tmp_path), "fingerprints": [printed]}, tmp_path).tls

    assert isinstance(tls, Tls)
    assert tls.fingerprints == {"ab" * 32}


def test_the_connector_that_cannot_do_tls_does_not_go_without(tmp_path: Path) -> None:
    settings = archive(files(tmp_path), tmp_path)

    with pytest.raises(Misconfigured, match=r'connector = "dimse"'):
        DimseArchive(settings)


@pytest.mark.parametrize("text", ["", "ab" * 20, "xy" * 32])
def test_what_is_no_fingerprint_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Misconfigured, match=r"pacs|tls\.fingerprints"):
        archive({**files(tmp_path), "fingerprints": [text]}, tmp_path)
