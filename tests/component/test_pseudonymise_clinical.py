import csv
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from p2d.flows.gateway.pseudonymise import INPUT, OUTPUT, pseudonymise_clinical
from p2d.identity.port import Domain, Failure, Identifier, Invalid
from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.model.identified import AccessionNumber, CaseStay, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar
from p2d.testing.identity import MemoryIdentity
from p2d.warehouse.batch import SCHEMAS

TODAY = date(2026, 11, 22)
HOSPITAL = {
    "patient.csv": [
        ["KANARI-1", "Vogelsang^Anna", "F", "1958-04-17"],
        ["KANARI-2", "Zeisig^Karl", "M", "1899-01-02"],
        ["KANARI-3", "Specht^Otto", "M", ""],
    ],
    "case.csv": [
        ["KANARI-1", "FALL-100", "2024-03-01", "2024-03-09", "inpatient"],
        ["KANARI-2", "FALL-200", "2024-05-01", "", "outpatient"],
    ],
    "document.csv": [
        [
            *("KANARI-1", "FALL-100", "D1", "discharge_letter", "2024-03-09", ""),
            'Frau Vogelsang, geb. 17.04.1958, Fall FALL-100,\n"NYHA II" am 05.03.2024, siehe ACC-55501.',
        ],
        [
            "KANARI-1",
            "FALL-100",
            "D2",
            "radiology_report",
            "2024-03-02",
            "ACC-55501",
            "CT Thorax: ohne Befund",
        ],
        ["KANARI-2", "", "D3", "laboratory", "", "", ""],
    ],
    "fact.csv": [
        ["KANARI-1", "FALL-100", "D1", "", "ICD10", "2024-03-01", "", "I50.1", "Linksherzinsuffizienz", ""],
        ["KANARI-1", "FALL-100", "", "G1", "LVEF", "2024-03-04", "42.5", "", "", "%"],
    ],
}
FULL_DISK = """
import resource, sys
from pathlib import Path
from p2d.flows.gateway.pseudonymise import pseudonymise_clinical
from p2d.model.errors import Misconfigured
from p2d.testing.identity import MemoryIdentity
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    pseudonymise_clinical(Path(sys.argv[1]), Path(sys.argv[2]), MemoryIdentity())
except Misconfigured as error:
    sys.stdout.write(str(error))
"""
Rows = Sequence[Sequence[str]]


def write(folder: Path, files: dict[str, Rows] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in {**HOSPITAL, **(files or {})}.items():
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([INPUT[name], *rows])
    return folder


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


class Halting(MemoryIdentity):
    """An identity manager that goes away before accession numbers are asked for."""

    def pseudonymise(
        self, domain: Domain, identifiers: Sequence[Identifier], *, create: bool
    ) -> list[Pseudonym | Failure]:
        if domain is Domain.ACCESSION:
            raise Unavailable("identity service", "does not answer")
        return super().pseudonymise(domain, identifiers, create=create)


def test_the_output_has_the_columns_that_the_warehouse_loads() -> None:
    assert {name: list(columns) for name, columns in OUTPUT.items()} == {
        f"{table}.csv": SCHEMAS[table].names for table in ("patient", "case", "document", "fact")
    }


def test_ids_become_the_pseudonyms_that_identity_resolves(tmp_path: Path) -> None:
    identity, source, target = MemoryIdentity(), write(tmp_path / "in"), tmp_path / "out"

    report = pseudonymise_clinical(source, target, identity, today=TODAY)

    letter, finding, lab = read(target, "document.csv")
    case = read(target, "case.csv")[0]
    assert report.written == {"patient.csv": 3, "case.csv": 2, "document.csv": 3, "fact.csv": 2}
    assert report.quarantined == {}
    assert identity.resolve(Domain.PATIENT, [Pseudonym(letter["patient"])]) == [PatientId("KANARI-1")]
    assert identity.resolve(Domain.ACCESSION, [Pseudonym(finding["accession"])]) == [
        AccessionNumber("ACC-55501")
    ]
    stay = CaseStay("FALL-100", PatientId("KANARI-1"), date(2024, 3, 1), date(2024, 3, 9))
    assert identity.resolve(Domain.CASE, [Pseudonym(case["case"])]) == [stay]
    assert letter["case"] == finding["case"] == case["case"]
    assert (lab["case"], lab["accession"], lab["date"], lab["text"]) == ("", "", "", "")


def test_document_and_group_keys_are_derived_and_join(tmp_path: Path) -> None:
    identity, target = MemoryIdentity(), tmp_path / "out"

    pseudonymise_clinical(write(tmp_path / "in"), target, identity, today=TODAY)

    diagnosis, lvef = read(target, "fact.csv")
    assert diagnosis["document"] == read(target, "document.csv")[0]["document"]
    assert diagnosis["document"] == identity.derive(["document:D1"])["document:D1"]
    assert (diagnosis["group"], lvef["document"]) == ("", "")
    assert lvef["group"] == identity.derive(["group:G1"])["group:G1"]
    assert (lvef["number"], lvef["unit"], diagnosis["code"]) == ("42.5", "%", "I50.1")


def test_every_date_moves_with_its_patient(tmp_path: Path) -> None:
    identity, target = MemoryIdentity(), tmp_path / "out"

    pseudonymise_clinical(write(tmp_path / "in"), target, identity, today=TODAY)

    patient = Pseudonym(read(target, "patient.csv")[0]["patient"])
    shift = timedelta(days=identity.date_shift([patient])[0])
    case, letter, fact = (read(target, name)[0] for name in ("case.csv", "document.csv", "fact.csv"))
    assert case["start"] == (date(2024, 3, 1) + shift).isoformat()
    assert case["end"] == (date(2024, 3, 9) + shift).isoformat()
    assert letter["date"] == (date(2024, 3, 9) + shift).isoformat()
    assert fact["date"] == (date(2024, 3, 1) + shift).isoformat()
    assert f"{date(2024, 3, 5) + shift:%d.%m.%Y}" in letter["text"]


def test_a_site_with_true_dates_keeps_them(tmp_path: Path) -> None:
    target = tmp_path / "out"

    pseudonymise_clinical(
        write(tmp_path / "in"), target, MemoryIdentity(), calendar=Calendar.TRUE, today=TODAY
    )

    assert read(target, "case.csv")[0]["start"] == "2024-03-01"
    assert "05.03.2024" in read(target, "document.csv")[0]["text"]


def test_of_the_birth_date_a_year_is_left_and_nobody_is_older_than_90(tmp_path: Path) -> None:
    identity, target = MemoryIdentity(), tmp_path / "out"

    pseudonymise_clinical(write(tmp_path / "in"), target, identity, today=TODAY)

    anna, karl, otto = read(target, "patient.csv")
    shift = timedelta(days=identity.date_shift([Pseudonym(anna["patient"])])[0])
    assert anna["birth_year"] == str((date(1958, 4, 17) + shift).year)
    assert karl["birth_year"] == str(TODAY.year - 90)
    assert (otto["birth_year"], otto["sex"]) == ("", "M")


def test_no_identifying_value_is_left_anywhere(tmp_path: Path) -> None:
    target = tmp_path / "out"

    pseudonymise_clinical(write(tmp_path / "in"), target, MemoryIdentity(), today=TODAY)

    content = "".join(path.read_text() for path in target.iterdir())
    for canary in ("KANARI", "Vogelsang", "Zeisig", "FALL-", "ACC-55501", "1958-04-17", "17.04.1958"):
        assert canary not in content
    assert "NYHA II" in content
    assert sorted(path.name for path in target.iterdir()) == sorted(OUTPUT)


def test_the_output_is_its_owners_alone_and_follows_no_link(tmp_path: Path) -> None:
    source, target, elsewhere = write(tmp_path / "in"), tmp_path / "out", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.write_text("kept")
    (target / ".fact.csv.part").symlink_to(elsewhere)

    pseudonymise_clinical(source, target, MemoryIdentity(), today=TODAY)

    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    assert elsewhere.read_text() == "kept"


def test_running_twice_gives_the_same_files(tmp_path: Path) -> None:
    identity, source = MemoryIdentity(), write(tmp_path / "in")

    for name in ("a", "b"):
        pseudonymise_clinical(source, tmp_path / name, identity, today=TODAY)

    for name in OUTPUT:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("patient.csv", ["K*", "X", "F", ""], "patient id not in a form that can be asked"),
        ("patient.csv", ["KANARI-1", "X", "F", ""], "patient stands in the file twice"),
        ("patient.csv", ["KANARI-9", "Specht^Ida", "Specht", ""], "sex holds an identifying value"),
        ("patient.csv", ["KANARI-9", "", "F", "0001-01-01"], "date outside the calendar"),
        ("case.csv", ["UNKNOWN", "F9", "", "", ""], "patient not in patient.csv, or without pseudonym"),
        ("case.csv", ["KANARI-1", "F*", "", "", ""], "case id not in a form that can be asked"),
        ("case.csv", ["KANARI-1", "FALL-100", "", "", ""], "case stands in the file twice"),
        ("case.csv", ["KANARI-1", "F9", "2024-01-02", "2024-01-01", ""], "case ends before it begins"),
        (
            "document.csv",
            ["UNKNOWN", "", "D9", "", "", "", ""],
            "patient not in patient.csv, or without pseudonym",
        ),
        (
            "document.csv",
            ["KANARI-1", "FALL-200", "D9", "", "", "", ""],
            "case not in case.csv, or without pseudonym",
        ),
        (
            "document.csv",
            ["KANARI-1", "", "D9", "", "", "A?", ""],
            "accession number not in a form that can be asked",
        ),
        ("document.csv", ["KANARI-1", "", "D9", "KANARI-1", "", "", ""], "kind holds an identifying value"),
        (
            "fact.csv",
            ["KANARI-1", "", "", "", "A", "", "", "x ACC-55501", "", ""],
            "code holds an identifying value",
        ),
        (
            "fact.csv",
            ["KANARI-1", "", "", "", "B", "", "", "1958-04-17", "", ""],
            "code holds an identifying value",
        ),
        (
            "fact.csv",
            ["KANARI-1", "", "", "", "Vogelsang", "", "", "", "", ""],
            "attribute holds an identifying value",
        ),
    ],
)
def test_a_row_without_pseudonyms_is_left_out_and_counted(
    tmp_path: Path, name: str, row: list[str], reason: str
) -> None:
    source = write(tmp_path / "in", {name: [*HOSPITAL[name], row]})

    report = pseudonymise_clinical(source, tmp_path / "out", MemoryIdentity(), today=TODAY)

    assert report.quarantined == {name: {reason: 1}}
    assert report.written[name] == len(HOSPITAL[name])


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [
        ("patient.csv", ["", "X", "F", ""], "patient_id"),
        ("patient.csv", ["KANARI-9", "X", "F", "KANARI"], "birth_date"),
        ("patient.csv", ["KANARI-9", "X", "F", "17.04.1958"], "birth_date"),
        ("patient.csv", ["KANARI-9", "X", "F", "19580417"], "birth_date"),
        ("case.csv", ["KANARI-1", "", "", "", ""], "case_id"),
        ("case.csv", ["KANARI-1", "F9", "2024-02-30", "", ""], "start"),
        ("document.csv", ["KANARI-1", "", "", "", "", "", ""], "document_id"),
        ("document.csv", ["KANARI-1", "", "D9", "", "KANARI", "", ""], "date"),
        ("fact.csv", ["KANARI-1", "", "", "", "", "", "4,5", "", "", ""], "number"),
        ("fact.csv", ["KANARI-1", "", "", "", "", "", "nan", "", "", ""], "number"),
        ("fact.csv", ["KANARI-1", "", "", "", "", "KANARI", "", "", "", ""], "date"),
    ],
)
def test_a_malformed_cell_stops_everything_and_names_its_place(
    tmp_path: Path, name: str, row: list[str], column: str
) -> None:
    rows = [["KANARI-3", *[""] * (len(row) - 1)], row] if name == "fact.csv" else [*HOSPITAL[name], row]
    source = write(tmp_path / "in", {name: rows})
    line = 2 + sum(1 + "".join(cells).count("\n") for cells in rows[:-1])

    with pytest.raises(InvalidRequest, match=f"{name} line {line} column {column}") as caught:
        pseudonymise_clinical(source, tmp_path / "out", MemoryIdentity(), today=TODAY)

    assert "KANARI" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("case.csv", "patient_id,case_id,start,end\n", "case.csv line 1: column type is missing"),
        ("case.csv", "", "case.csv line 1: column patient_id is missing"),
        ("case.csv", "patient_id,case_id,start,end,type,KANARI\n", "case.csv line 1: holds a column"),
        ("case.csv", "patient_id,case_id,start,end,type\nKANARI,1\n", "case.csv line 2: has 2 cells"),
        ("fact.csv", ",".join(INPUT["fact.csv"]) + '\n"KANARI', "fact.csv after line 1: is not UTF-8 CSV"),
        ("fact.csv", ",".join(INPUT["fact.csv"]) + "\nKANARI\udcff\n", "fact.csv after line"),
    ],
)
def test_a_malformed_file_stops_everything_and_names_its_place(
    tmp_path: Path, name: str, content: str, place: str
) -> None:
    source = write(tmp_path / "in")
    (source / name).write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(InvalidRequest, match=place) as caught:
        pseudonymise_clinical(source, tmp_path / "out", MemoryIdentity(), today=TODAY)

    assert "KANARI" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_file_stops_everything(tmp_path: Path) -> None:
    source = write(tmp_path / "in")
    (source / "fact.csv").unlink()

    with pytest.raises(InvalidRequest, match=r"fact\.csv"):
        pseudonymise_clinical(source, tmp_path / "out", MemoryIdentity(), today=TODAY)


def test_when_identity_goes_away_the_former_output_stays_whole(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in"), tmp_path / "out"
    pseudonymise_clinical(source, target, MemoryIdentity(), today=TODAY)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    with pytest.raises(Unavailable):
        pseudonymise_clinical(source, target, Halting(), today=TODAY)

    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_on_a_full_disk_the_former_output_stays_whole(tmp_path: Path) -> None:
    letters = [["KANARI-1", "", f"D{i}", "letter", "", "", f"KANARI-1 {i} " + "x" * 500] for i in range(200)]
    source, target = write(tmp_path / "in", {"document.csv": letters}), tmp_path / "out"
    target.mkdir()
    (target / "document.csv").write_text("former")

    command = [sys.executable, "-c", FULL_DISK, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("output folder: ")
    assert "KANARI" not in done.stdout + done.stderr
    assert [path.name for path in target.iterdir()] == ["document.csv"]
    assert (target / "document.csv").read_text() == "former"


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in")
    (tmp_path / "out").write_text("")

    with pytest.raises(Misconfigured, match="cannot be written"):
        pseudonymise_clinical(source, tmp_path / "out", MemoryIdentity(), today=TODAY)


def test_the_identified_folder_is_never_written_to(tmp_path: Path) -> None:
    source = write(tmp_path / "in")

    with pytest.raises(InvalidRequest, match="OUT"):
        pseudonymise_clinical(source, tmp_path / "x" / ".." / "in", MemoryIdentity(), today=TODAY)


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    source = write(tmp_path / "in")
    (source / "case.csv").write_text(
        "type,end,start,case_id,patient_id\ninpatient,,2024-03-01,FALL-100,KANARI-1\n"
    )

    report = pseudonymise_clinical(source, tmp_path / "out", MemoryIdentity(), today=TODAY)

    assert report.written["case.csv"] == 1
    assert read(tmp_path / "out", "case.csv")[0]["type"] == "inpatient"


def test_a_pseudonym_is_never_made_of_an_invalid_id() -> None:
    assert MemoryIdentity().pseudonymise(Domain.PATIENT, [PatientId("*")], create=True) == [Invalid()]
