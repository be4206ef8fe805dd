"""``p2d ledger`` over a real ledger: tables, exit codes, signing and checking."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from p2d.cli.app import cli
from p2d.cli.roots import Roots
from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Entry, Ledger
from p2d.jobs.register import Finding, Inconsistency


@dataclass
class FakeGateway:
    ledger: Ledger

    def close(self) -> None:
        pass


@dataclass
class FakeRoots:
    path: Path

    def open_gateway(self, settings: Path) -> Any:
        del settings
        return FakeGateway(Ledger(self.path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def opened(path: Path, missing: int) -> str:
    ledger = Ledger(path)
    run_id = ledger.open_run("bulk", {}, ["P1"], "olaf")
    line = SeriesCounts("P1", "2.25.1", "2.25.2", 2, 2 - missing, 2 - missing)
    lost = [Finding(Inconsistency.NEVER_ARRIVED, "P1", "2.25.1", "2.25.2", "2.25.3")] * missing
    ledger.record_all(run_id, "b1", [Entry("P1", [line], findings=lost)])
    ledger.loaded(run_id, "b1")
    ledger.close()
    return run_id


def called(path: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["ledger", *words], obj=cast("Roots", FakeRoots(path)))


SETTINGS = ("--settings", "gateway.toml")


def test_lines_are_printed_and_the_exit_code_tells_whether_all_is_there(path: Path) -> None:
    whole, broken = opened(path, 0), opened(path, 1)

    complete, incomplete = called(path, "lines", whole, *SETTINGS), called(path, "lines", broken, *SETTINGS)

    assert (complete.exit_code, incomplete.exit_code) == (0, 7)
    assert complete.output.splitlines()[1].startswith("P1,2.25.1,2.25.2,0,2,2,0,2")
    assert json.loads(called(path, "lines", broken, "--json", *SETTINGS).output)["missing"] == 1


def test_the_register_is_printed_and_explained(path: Path) -> None:
    run_id = opened(path, 1)

    table = called(path, "inconsistencies", run_id, *SETTINGS).output
    explained = called(path, "inconsistencies", run_id, "--explain", *SETTINGS).output

    assert table.splitlines()[1] == "never arrived,P1,2.25.1,2.25.2,2.25.3,,1"
    assert explained.startswith("never arrived (1): The archive lists an instance")
    assert called(path, "inconsistencies", run_id, "--kind", "gone", "--json", *SETTINGS).output == ""


def test_a_summary_is_signed_checked_and_refused_when_changed(path: Path, tmp_path: Path) -> None:
    run_id = opened(path, 0)
    private, public, file = str(tmp_path / "key"), str(tmp_path / "pub"), tmp_path / "summary.json"
    assert called(path, "keys", private, public).exit_code == 0

    made = called(path, "sign", run_id, "--key", private, *SETTINGS)
    file.write_text(made.output)

    assert made.exit_code == 0
    checked = called(path, "verify", str(file), "--key", public)
    assert (checked.exit_code, json.loads(checked.output)["run_id"]) == (0, run_id)
    file.write_text(made.output.replace('"missing": 0', '"missing": 1'))
    assert called(path, "verify", str(file), "--key", public).exit_code == 2
    assert called(path, "verify", str(tmp_path / "absent"), "--key", public).exit_code == 2
