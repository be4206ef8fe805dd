"""``p2d audit``: exit codes and what a human reads."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from p2d.audit.log import AuditLog, head
from p2d.cli.audit import audit


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    chain = AuditLog(path)
    with chain.query(action="metadata", user="ruth", session="S1", subject={"scope": "basic"}) as entry:
        entry.outcome(released=7)
    chain.begin(action="images", user="ruth", session="S1", subject={})
    return path


def test_a_good_log_is_called_good_with_its_head(log: Path) -> None:
    result = CliRunner().invoke(audit, ["verify", str(log)])

    assert result.exit_code == 0
    assert "good: 3 records, 1 without outcome" in result.output
    assert head(log) in result.output


def test_a_bad_record_is_named_with_exit_code_7(log: Path) -> None:
    log.write_text(log.read_text().replace('"released":7', '"released":8'))

    result = CliRunner().invoke(audit, ["verify", str(log)])

    assert result.exit_code == 7
    assert "record 2" in result.output


def test_a_cut_log_is_bad_against_a_noted_head(log: Path) -> None:
    noted = head(log)
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))

    result = CliRunner().invoke(audit, ["verify", str(log), "--head", noted])

    assert result.exit_code == 7
    assert "record 3" in result.output


def test_show_prints_the_last_records(log: Path) -> None:
    result = CliRunner().invoke(audit, ["show", str(log), "--last", "2"])

    lines = result.output.splitlines()
    assert len(lines) == 2
    assert "outcome" in lines[0]
    assert '{"released": 7}' in lines[0]
    assert "intent" in lines[1]


def test_show_prints_no_control_character(log: Path) -> None:
    log.write_bytes(log.read_bytes() + b"\x1b[2J\n")

    result = CliRunner().invoke(audit, ["show", str(log)])

    assert "\x1b" not in result.output
    assert "BAD record" in result.output
