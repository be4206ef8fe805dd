"""``p2d load`` and ``p2d identity pseudonymise`` with formats: what they print, and how they end."""

import json
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result

from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.testing.identity import MemoryIdentity
from p2d.testing.memory_warehouse import MemoryWarehouse
from p2d.testing.warehouse_rows import patient_psn

SECRET = "zq81mX0pLw4vT9sKd7-Rb3nYh"
P1 = patient_psn(1)
GATEWAY_TOML = """
[gateway]
state_dir = "."
service_secret = "a"
operator_secret = "b"
assertion_public_key = "c"
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
    def __init__(self) -> None:
        self.identity = MemoryIdentity()
        self.warehouse = MemoryWarehouse()

    def open_identity(self, path: Path) -> MemoryIdentity:
        return self.identity

    def open_loader(self, url: str, secret: str) -> MemoryWarehouse:
        return self.warehouse


def run(roots: FakeRoots, *words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], obj=cast("Roots", roots))


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    return ["--url", "http://127.0.0.1:9", "--secret", str(secret)]


def resources(folder: Path, patient: str, **more: object) -> Path:
    folder.mkdir()
    about = {"subject": {"reference": "Patient/1"}, "effectiveDateTime": "2020-01-01T10:00:00Z"}
    made = [
        {"resourceType": "Patient", "id": "1", "identifier": [{"value": patient}], **more},
        {"resourceType": "Observation", "code": {"text": "LVEF"}, "valueQuantity": {"value": 35}, **about},
        {"resourceType": "Device", "id": "7"},
    ]
    (folder / "all.ndjson").write_text("\n".join(json.dumps(one) for one in made) + "\n")
    return folder


def test_the_report_of_a_load_adds_up(where: list[str], tmp_path: Path) -> None:
    roots = FakeRoots()

    answer = run(roots, "load", resources(tmp_path / "in", P1), "--format", "fhir", *where)

    assert answer.exit_code == 0, answer.output
    assert "1 rows of all.ndjson skipped: resource type Device is not taken" in answer.output
    assert "3 rows read = 2 loaded + 0 set aside + 1 skipped" in answer.output
    assert [row["number"] for row in roots.warehouse.rows("fact")] == [35.0]


def test_identified_data_are_set_aside_and_end_the_load_incomplete(where: list[str], tmp_path: Path) -> None:
    folder = resources(tmp_path / "in", "KANARI-4711", name=[{"family": "Vogelsang"}])

    answer = run(FakeRoots(), "load", folder, "--format", "fhir", *where)

    assert answer.exit_code == 7
    assert "all.ndjson row 1 field names: holds a name" in answer.output
    assert "3 rows read = 0 loaded + 2 set aside + 1 skipped" in answer.output
    assert not any(word in answer.output for word in ("KANARI", "Vogelsang"))


def test_many_rows_that_are_set_aside_are_told_by_reason(where: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [json.dumps({"resourceType": "Patient", "id": f"KANARI-{number}"}) for number in range(30)]
    (folder / "all.ndjson").write_text("\n".join(lines) + "\n")

    answer = run(FakeRoots(), "load", folder, "--format", "fhir", *where)

    assert answer.exit_code == 7
    assert answer.output.count("set aside: all.ndjson") == 20
    assert "30 patient rows: field patient is not a pseudonym" in answer.output


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--format", "csv"], 2, "--mapping: is missing"),
        (["--mapping", "m.toml"], 2, "--mapping: is for other formats than p2d"),
        (["--format", "omop"], 2, "person: is not in the folder"),
        (["--format", "fhir", "--mapping", "missing.toml"], 3, "missing.toml"),
        (["--format", "hl7v2"], 2, "hl7v2"),
    ],
)
def test_options_that_do_not_fit_are_told(
    where: list[str], tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    (tmp_path / "m.toml").write_text("version = 1\n")
    given = [str(tmp_path / o) if o.endswith(".toml") else o for o in options]

    answer = run(FakeRoots(), "load", tmp_path, *given, *where)

    assert (answer.exit_code, said in answer.output) == (code, True), answer.output


def test_words_of_a_mapping_apply_to_every_format(where: list[str], tmp_path: Path) -> None:
    roots = FakeRoots()
    (tmp_path / "words.yaml").write_text("version: 1\nwords:\n  attributes:\n    LVEF: EJECTION_FRACTION\n")
    options: list[str | Path] = ["--format", "fhir", "--mapping", tmp_path / "words.yaml"]

    answer = run(roots, "load", resources(tmp_path / "in", P1), *options, *where)

    assert answer.exit_code == 0, answer.output
    assert [row["attribute"] for row in roots.warehouse.rows("fact")] == ["EJECTION_FRACTION"]


def test_pseudonymise_reads_a_format_and_tells_what_became_of_it(where: list[str], tmp_path: Path) -> None:
    roots = FakeRoots()
    (tmp_path / "gateway.toml").write_text(GATEWAY_TOML)
    folder = resources(tmp_path / "in", "KANARI-4711", name=[{"family": "Vogelsang"}], birthDate="1958-04-17")
    options: list[str | Path] = ["--settings", tmp_path / "gateway.toml", "--format", "fhir"]

    answer = run(roots, "identity", "pseudonymise", folder, tmp_path / "out", *options)
    load = run(roots, "load", tmp_path / "out", *where)

    assert answer.exit_code == 0, answer.output
    assert "fact.csv               1 rows written" in answer.output
    assert "1 rows skipped: resource type Device is not taken" in answer.output
    assert load.exit_code == 0, load.output
    content = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert not any(word in content + answer.output for word in ("KANARI", "Vogelsang", "1958-04-17"))


@pytest.mark.parametrize("option", ["--mapping", "--persons"])
def test_pseudonymise_takes_no_option_of_other_formats_for_its_own(option: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY_TOML)
    (tmp_path / "x.toml").write_text("version = 1\n")
    options: list[str | Path] = ["--settings", tmp_path / "gateway.toml", option, tmp_path / "x.toml"]

    answer = run(FakeRoots(), "identity", "pseudonymise", tmp_path, tmp_path / "out", *options)

    assert (answer.exit_code, f"{option}: is for other formats" in answer.output) == (2, True)


def test_pseudonymise_never_writes_into_the_folder_it_reads(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY_TOML)
    folder = resources(tmp_path / "in", "KANARI-4711")
    options: list[str | Path] = ["--settings", tmp_path / "gateway.toml", "--format", "fhir"]

    answer = run(FakeRoots(), "identity", "pseudonymise", folder, folder, *options)

    assert (answer.exit_code, "OUT" in answer.output) == (2, True)
