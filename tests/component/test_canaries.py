import base64
import gzip
import io
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.model.errors import InvalidRequest
from p2d.testing.canaries import Searcher, scan, scan_bytes
from p2d.testing.canary import Canary
from p2d.testing.hospital import generate
from p2d.testing.needle_search import NeedleSearch

NAME = Canary("Quxverländtner", "family_name")
UID = Canary("2.999.7314159.1.50476676920.1.1.1", "instance_uid")
BORN = Canary("18991231", "birth_date")
CANARIES = [NAME, UID, BORN]

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "raw in Latin-1": lambda t: t.encode("latin-1"),
    "upper": lambda t: t.upper().encode(),
    "lower": lambda t: t.lower().encode(),
    "upper in Latin-1": lambda t: t.upper().encode("latin-1"),
    "url": lambda t: quote(t, safe="").encode(),
    "url in lower case": lambda t: quote(t, safe="").lower().encode(),
    "hex": lambda t: t.encode().hex().encode(),
    "hex in upper case": lambda t: t.encode().hex().upper().encode(),
    "base64 aligned": lambda t: base64.b64encode(t.encode()),
    "base64 after one byte": lambda t: base64.b64encode(b"x" + t.encode() + b"yz"),
    "base64 after two bytes": lambda t: base64.b64encode(b"xx" + t.encode() + b"yz"),
    "base64 for URLs": lambda t: base64.urlsafe_b64encode(t.encode()),
    "utf-16-le": lambda t: t.encode("utf-16-le"),
    "utf-16-be": lambda t: t.encode("utf-16-be"),
    "json": lambda t: t.encode("ascii", "backslashreplace").replace(b"\\xe4", b"\\u00e4"),
}


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", content)
    return buffer.getvalue()


def zstandard(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def parquet(content: bytes) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"column": [content] * 3}), sink, compression="zstd")
    return sink.getvalue()


def arrow(content: bytes) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"column": [{"nested": content}]})
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue()


def sqlite(content: bytes) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE kept (value BLOB)")
    connection.execute("INSERT INTO kept VALUES (?)", (b"x" * 5000 + content,))
    connection.commit()
    made = bytes(connection.serialize())
    connection.close()
    return made


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "zip": zipped,
    "gzip": gzip.compress,
    "zstd": zstandard,
    "parquet": parquet,
    "arrow": arrow,
    "sqlite": sqlite,
    "gzip in zip": lambda c: zipped(gzip.compress(c)),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("index", range(len(CANARIES)))
def test_a_planted_canary_is_found_in_every_encoding(encoding: str, index: int) -> None:
    planted = b"before " + ENCODINGS[encoding](CANARIES[index]) + b" after"

    findings = scan_bytes(planted, CANARIES)

    assert {f.index for f in findings} == {index}
    assert {f.kind for f in findings} == {CANARIES[index].kind}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("encoding", ["raw", "upper in Latin-1", "base64 after one byte"])
def test_a_planted_canary_is_found_in_every_container(container: str, encoding: str, tmp_path: Path) -> None:
    content = b"padding " * 500 + ENCODINGS[encoding](NAME)
    (tmp_path / "artefact.bin").write_bytes(CONTAINERS[container](content))

    findings = scan([tmp_path], CANARIES)

    assert {f.index for f in findings} == {0}


@pytest.mark.parametrize(
    "written",
    ["Zwöbbgendrü Quxverländtner", "Quxverländtner, Zwöbbgendrü", "Quxverländtner^Zwöbbgendrü^^Dr."],
)
def test_a_whole_name_is_found_in_every_order(written: str) -> None:
    findings = scan_bytes(written.encode(), [Canary("Quxverländtner^Zwöbbgendrü", "text")])

    assert {f.index for f in findings} == {0}


def test_a_canary_is_found_in_a_duckdb_file_that_is_closed(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT ? AS value FROM range(5000)", [f"a {NAME} b"])

    findings = scan([tmp_path], CANARIES)

    assert any("kept" in f.file for f in findings)
    assert {f.index for f in findings} == {0}


def test_a_canary_is_found_in_databases_that_are_still_open(tmp_path: Path) -> None:
    lite = sqlite3.connect(tmp_path / "identity.sqlite", isolation_level=None)
    lite.execute("PRAGMA journal_mode = WAL")
    lite.execute("CREATE TABLE kept (value TEXT)")
    lite.execute("INSERT INTO kept VALUES (?)", (str(UID),))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE kept (value TEXT)")
        connection.execute("INSERT INTO kept VALUES (?)", [str(NAME)])

        findings = scan([tmp_path], CANARIES)

    lite.close()
    assert {f.index for f in findings} == {0, 1}


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_canaries_are_found_in_every_object_of_the_hospital(character_set: str, tmp_path: Path) -> None:
    hospital = generate(6, max_images=4, canary=True)
    canaries = hospital.canaries()
    image = next(i for i in hospital.images() if i.series.study.character_set == character_set)
    image.render().save_as(tmp_path / "image", enforce_file_format=True)

    found = {str(canaries[f.index]) for f in scan([tmp_path], canaries)}

    patient = image.series.study.patient
    assert {patient.family, patient.given, patient.patient_id, image.sop_instance_uid} <= found
    assert f"{patient.birth_date:%Y%m%d}" in found


def test_canaries_are_found_in_the_clinical_files(tmp_path: Path) -> None:
    hospital = generate(6, max_images=4, canary=True)
    canaries = hospital.canaries()
    hospital.write_clinical(tmp_path)

    kinds = {f.kind for f in scan([tmp_path], canaries)}

    assert {"family_name", "given_name", "patient_id", "birth_date", "admission_id", "document_id"} <= kinds
    assert "accession_number" in kinds


def test_names_of_files_and_members_are_searched_and_never_shown(tmp_path: Path) -> None:
    folder = tmp_path / f"export {NAME}"
    folder.mkdir()
    with zipfile.ZipFile(folder / "bundle.zip", "w") as archive:
        archive.writestr(f"{UID}.dcm", b"nothing")

    findings = scan([tmp_path], CANARIES)

    assert {f.index for f in findings} == {0, 1}
    assert not any(canary in repr(f) for f in findings for canary in CANARIES)


def test_a_finding_tells_file_encoding_kind_and_index(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text(f"asked for {UID}\n", encoding="utf-8")

    (finding,) = scan([tmp_path / "run.log"], CANARIES)

    assert (finding.file, finding.encoding, finding.kind, finding.index) == (
        "run.log",
        "raw",
        "instance_uid",
        1,
    )


def test_clean_artefacts_give_no_finding(tmp_path: Path) -> None:
    for name, wrap in CONTAINERS.items():
        (tmp_path / name).write_bytes(wrap(b"a pseudonym P0000123X and 2.25.123456789"))

    assert scan([tmp_path], CANARIES) == []


def test_a_container_that_cannot_be_opened_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"content " * 100)[:30])

    (finding,) = scan([tmp_path], CANARIES)

    assert (finding.kind, finding.index) == ("unreadable", -1)


def test_a_path_that_does_not_exist_does_not_pass(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="paths"):
        scan([tmp_path / "missing"], CANARIES)


def test_a_canary_across_the_border_of_two_chunks_is_found() -> None:
    border = 1 << 23
    searcher = Searcher(CANARIES)

    for shift in (0, 1, 7, 8, 9, 16, len(UID) - 1, len(UID)):
        content = b"." * (border - shift) + UID.encode() + b"." * 50

        assert {f.index for f in searcher.scan_bytes(content)} == {1}


@given(
    needles=st.sets(st.binary(min_size=1, max_size=20), max_size=30),
    content=st.binary(max_size=300),
    planted=st.integers(min_value=0, max_value=29),
    place=st.integers(min_value=0, max_value=300),
)
def test_the_search_agrees_with_plain_comparison(
    needles: set[bytes], content: bytes, planted: int, place: int
) -> None:
    ordered = sorted(needles)
    if ordered:
        content = content[:place] + ordered[planted % len(ordered)] + content[place:]

    found = set(NeedleSearch(needles).found_in(content))

    assert found == {needle for needle in needles if needle in content}
