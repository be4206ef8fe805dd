from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.identity.port import Domain, NotFound
from p2d.main.identity import open_identity_table
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.identity import MemoryIdentity

IDENTITY_TOML = """
[identity]
state_dir = "state"
database = "data/identity.db"
key_file = "keys/identity.key"

[[clients]]
name = "gateway"
secret = "gateway.secret"
rights = ["patient:create"]
"""
GATEWAY_TOML = """
[gateway]
state_dir = "."
service_secret = "a"
operator_secret = "b"
assertion_public_key = "c"
calendar = "{calendar}"
[pacs]
host = "127.0.0.1"
called_ae_title = "PACS"
[identity]
url = "http://127.0.0.1:1"
secret = "d"
[warehouse]
url = "http://127.0.0.1:2"
secret = "e"
"""


class FakeRoots:
    """The two factories that these commands use."""

    def __init__(self) -> None:
        self.identity = MemoryIdentity()

    def open_identity(self, path: Path) -> MemoryIdentity:
        return self.identity

    def open_identity_table(self, path: Path) -> object:
        return open_identity_table(path)


def run(*arguments: str | Path) -> Result:
    roots = cast("Roots", FakeRoots())
    return CliRunner().invoke(cli, ["identity", *map(str, arguments)], obj=roots)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "identity.toml"
    path.write_text(IDENTITY_TOML)
    return path


@pytest.fixture
def clinical(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "patient.csv").write_text("patient_id,name,sex,birth_date\nKANARI-1,Specht^Ida,F,1960-02-03\n")
    (folder / "case.csv").write_text("patient_id,case_id,start,end,type\nKANARI-1,F1,2024-01-01,,inpatient\n")
    (folder / "document.csv").write_text(
        "patient_id,case_id,document_id,kind,date,accession_number,text\nKANARI-2,,D1,letter,2024-01-01,,Text\n"
    )
    (folder / "fact.csv").write_text(
        "patient_id,case_id,document_id,group_id,attribute,date,number,code,text,unit\n"
    )
    return folder


def test_init_creates_a_key_file_and_says_what_is_next(settings: Path) -> None:
    result = run("init", "--settings", settings)

    key_file = settings.parent / "keys" / "identity.key"
    assert result.exit_code == 0
    assert key_file.stat().st_mode & 0o777 == 0o400
    assert (settings.parent / "data").stat().st_mode & 0o077 == 0
    assert "Next:" in result.output
    assert "p2d serve identity" in result.output


def test_init_never_replaces_a_key(settings: Path) -> None:
    run("init", "--settings", settings)
    key = (settings.parent / "keys" / "identity.key").read_bytes()

    result = run("init", "--settings", settings)

    assert result.exit_code == 3
    assert "never overwritten" in result.output
    assert (settings.parent / "keys" / "identity.key").read_bytes() == key


def test_init_names_a_setting_it_does_not_know(settings: Path) -> None:
    settings.write_text(IDENTITY_TOML.replace("key_file", "keyfile"))

    result = run("init", "--settings", settings)

    assert result.exit_code == 3
    assert "identity.key" in result.output


def test_import_adds_existing_pseudonyms(settings: Path) -> None:
    run("init", "--settings", settings)
    mapping = settings.parent / "mapping.csv"
    mapping.write_text("original,pseudonym\nKANARI-1,PSN-1\nKANARI-2,PSN-2\n")

    tried = run("import", mapping, "--settings", settings, "--dry-run")
    table = open_identity_table(settings)
    before = table.resolve(Domain.PATIENT, [Pseudonym("PSN-2")])
    done = run("import", mapping, "--settings", settings)
    after = table.resolve(Domain.PATIENT, [Pseudonym("PSN-2")])
    table.close()

    assert (tried.exit_code, done.exit_code) == (0, 0)
    assert "2 would be imported" in tried.output
    assert "2 imported" in done.output
    assert (before, after) == ([NotFound()], [PatientId("KANARI-2")])


@pytest.mark.parametrize(
    "rows",
    [
        "original;pseudonym\n",
        "original,pseudonym\nKANARI-1\n",
        "original,pseudonym\nKANARI-1,PSN-1\nKANARI-1,PSN-2\n",
    ],
)
def test_a_bad_mapping_is_named_by_line_and_nothing_imported(settings: Path, rows: str) -> None:
    run("init", "--settings", settings)
    mapping = settings.parent / "mapping.csv"
    mapping.write_text(rows)

    result = run("import", mapping, "--settings", settings)

    assert result.exit_code == 2
    assert "line" in result.output
    assert "KANARI" not in result.output


@pytest.mark.parametrize("calendar", ["shifted", "true"])
def test_pseudonymise_reports_what_it_wrote_and_left_out(clinical: Path, calendar: str) -> None:
    settings = clinical.parent / "gateway.toml"
    settings.write_text(GATEWAY_TOML.format(calendar=calendar))
    target = clinical.parent / "out"

    result = run("pseudonymise", clinical, target, "--settings", settings)

    assert result.exit_code == 0
    assert "document.csv           0 rows written" in result.output
    assert "1 left out: patient not in patient.csv" in result.output
    assert "KANARI" not in result.output
    assert ("2024-01-01" in (target / "case.csv").read_text()) == (calendar == "true")


def test_pseudonymise_names_the_place_of_a_bad_cell(clinical: Path) -> None:
    settings = clinical.parent / "gateway.toml"
    settings.write_text(GATEWAY_TOML.format(calendar="shifted"))
    (clinical / "case.csv").write_text("patient_id,case_id,start,end,type\nKANARI-1,F1,KANARI,,x\n")

    result = run("pseudonymise", clinical, clinical.parent / "out", "--settings", settings)

    assert result.exit_code == 2
    assert "case.csv line 2 column start" in result.output
    assert "YYYY-MM-DD" in result.output
    assert "KANARI" not in result.output


@pytest.mark.parametrize("command", ["init", "pseudonymise", "import"])
def test_help_teaches_with_an_example(command: str) -> None:
    assert f"  p2d identity {command} " in run(command, "--help").output
