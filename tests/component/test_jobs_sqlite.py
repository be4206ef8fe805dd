"""The ledger's file: migrated, its owner's alone, refused when it is something else."""

import sqlite3
import stat
from importlib.resources import files
from pathlib import Path

import pytest

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.ledger import Ledger
from p2d.jobs.migration import LATEST
from p2d.model.errors import Misconfigured

TABLES = files("p2d.jobs") / "migrations" / "0002_ledger.sql"
VERSION_2 = """
CREATE TRIGGER patient_added AFTER INSERT ON patient BEGIN
    UPDATE run SET patients_total = patients_total + 1 WHERE run_id = NEW.run_id; END;
CREATE TRIGGER patient_changed AFTER UPDATE ON patient BEGIN
    UPDATE run SET patients_parked = patients_parked + (NEW.state = 'parked') WHERE run_id = NEW.run_id; END;
INSERT INTO run (run_id, kind, request, user, state, started_at, updated_at)
    VALUES ('R1', 'bulk', '{"scope": "basic"}', 'olaf', 'running', 1.0, 2.0);
INSERT INTO patient (run_id, patient, position, state, batch_id, reason) VALUES
    ('R1', 'P1', 0, 'done', 'b1', NULL), ('R1', 'P2', 1, 'extracted', 'b2', NULL),
    ('R1', 'P3', 2, 'parked', NULL, 'Unavailable'), ('R1', 'P4', 3, 'pending', NULL, NULL);
INSERT INTO line VALUES ('R1', 'P1', 's', 't', 5, 4, 4, 0, 0), ('R1', 'P2', 's', 't', 3, 3, 3, 0, 0);
PRAGMA user_version = 2;
"""


def test_a_ledger_of_an_earlier_version_goes_on_where_it_stood(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as db:
        tables = TABLES.read_text(encoding="utf-8").replace("SERIAL_KEY", "INTEGER PRIMARY KEY")
        db.executescript(tables + VERSION_2)
    db.close()

    ledger = Ledger(path)
    report = ledger.report("R1", recount=True)
    waiting = ledger.leases.take_over("R1", "w", seconds=60, attempts_allowed=3)
    lease = ledger.leases.take("R1", "w", most=10, seconds=60)
    ledger.close()

    assert report.adds_up
    assert (report.patients.total, report.patients.done, report.patients.pending) == (4, 1, 2)
    assert (dict(report.patients.parked), report.expected, report.missing) == ({"Unavailable": 1}, 8, 1)
    assert waiting is not None
    assert lease is not None
    assert (waiting.patients, lease.patients) == (("P2",), ("P4",))


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {LATEST + 1}")
    db.close()

    with pytest.raises(Misconfigured, match="later than this program"):
        Ledger(path)


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state" / "ledger.sqlite")
    run = ledger.open_run("bulk", {}, ["P1"], "olaf")
    ledger.record(run, "b1", "P1", [SeriesCounts("P1", "s", "t", 1, 1, 1)])

    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}
    ledger.close()

    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_what_is_no_database_is_a_misconfiguration(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("text" * 1000)

    with pytest.raises(Misconfigured):
        Ledger(tmp_path / "ledger.sqlite")
