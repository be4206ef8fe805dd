from pathlib import Path

import pytest

from p2d.identity.csv_table import CsvTable
from p2d.identity.port import Ambiguous, Domain, Invalid, NotFound
from p2d.identity.service import IdentityService
from p2d.model.errors import Misconfigured
from p2d.model.identified import AccessionNumber, PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.identity import MemoryIdentity

RIGHTS = frozenset({"patient:create", "patient:resolve", "accession:create"})


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "patients.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_patients_of_the_file_are_known_both_ways(tmp_path: Path) -> None:
    table = CsvTable(written(tmp_path, "\ufefforiginal,pseudonym\r\n4711,PSN-1\r\n 4712 ,PSN-2\r\n"))

    assert table.pseudonymise([PatientId("4712"), PatientId(" 4711 ")]) == ["PSN-2", "PSN-1"]
    assert table.resolve([Pseudonym("PSN-2")]) == [PatientId("4712")]


def test_unknown_and_malformed_items_are_told_apart(tmp_path: Path) -> None:
    table = CsvTable(written(tmp_path, "original,pseudonym\n4711,PSN-1\n"))

    assert table.pseudonymise([PatientId("1"), PatientId("*"), AccessionNumber("4711")]) == [
        NotFound(),
        Invalid(),
        Invalid(),
    ]
    assert table.resolve([Pseudonym("PSN-9"), Pseudonym("*")]) == [NotFound(), Invalid()]


def test_what_stands_in_the_file_twice_is_ambiguous_both_ways(tmp_path: Path) -> None:
    rows = "A,PSN-1\nA,PSN-2\nB,PSN-3\nC,PSN-3\nD,PSN-1\nE,PSN-5\nE,PSN-5\nF,PSN-6\n"
    table = CsvTable(written(tmp_path, f"original,pseudonym\n{rows}"))

    originals = table.pseudonymise([PatientId(letter) for letter in "ABCDEF"])
    pseudonyms = table.resolve([Pseudonym(f"PSN-{i}") for i in (1, 2, 3, 5, 6)])

    assert originals == [Ambiguous()] * 5 + ["PSN-6"]
    assert pseudonyms == [Ambiguous()] * 4 + [PatientId("F")]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1"),
        (b"pseudonym,original\n", "line 1"),
        (b"original;pseudonym\n", "line 1"),
        (b"original,pseudonym\nKANARI\n", "line 2"),
        (b"original,pseudonym\nKANARI,PSN-1,x\n", "line 2"),
        (b"original,pseudonym\n1,PSN-1\nKANARI,\n", "line 3"),
        (b"original,pseudonym\n,PSN-1\n", "line 2"),
        (b"original,pseudonym\nKANARI*,PSN-1\n", "line 2"),
        (b"original,pseudonym\nKANARI,KANARI\n", "line 2"),
        (b"original,pseudonym\nKANARI,PSN 1\n", "line 2"),
        (b"original,pseudonym\nKANARI\xff,PSN-1\n", "UTF-8"),
        (b'original,pseudonym\n"KANARI,PSN-1\n', "CSV"),
    ],
)
def test_a_malformed_file_stops_the_start_and_shows_no_original(
    tmp_path: Path, content: bytes, place: str
) -> None:
    with pytest.raises(Misconfigured, match=place) as caught:
        CsvTable(written(tmp_path, content))

    assert "KANARI" not in str(caught.value)


def test_an_absent_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        CsvTable(tmp_path / "absent.csv")


def test_the_service_takes_patients_from_the_file_and_all_else_from_its_own_table(tmp_path: Path) -> None:
    foreign = CsvTable(written(tmp_path, "original,pseudonym\n4711,PSN-1\n"))
    client = IdentityService(MemoryIdentity(), foreign).as_client("gateway", RIGHTS)

    patients = client.pseudonymise(Domain.PATIENT, [PatientId("4711"), PatientId("1")], create=True)
    accessions = client.pseudonymise(Domain.ACCESSION, [AccessionNumber("4711")], create=True)

    assert patients == ["PSN-1", NotFound()]
    assert isinstance(accessions[0], Pseudonym)
    assert client.resolve(Domain.PATIENT, [Pseudonym("PSN-1")]) == [PatientId("4711")]
