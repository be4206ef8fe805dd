"""Sums over a run by name, changed with what they sum, in one transaction; counted anew to prove them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from p2d.jobs.counts import SeriesCounts
from p2d.jobs.register import Finding
from p2d.jobs.store import Db

Totals = Mapping[str, int]
PATIENTS: Final = "patients "
"""Before the state of patients: ``patients done``."""
UNRESOLVED: Final = "unresolved "
PARKED: Final = "parked "
WITHHELD: Final = "withheld "
"""Each before a reason."""
FOUND: Final = "found "
"""Before a kind of inconsistency."""
NOTES: Final = "notes"
OFF: Final = "lines off"
"""Lines that do not add up."""
IMAGES: Final = ("expected", "received", "missing", "released", "duplicate", "refused")
_LINES: Final = ("series", "studies", *IMAGES, OFF)
_SUMS: Final = """
SELECT count(*), count(DISTINCT patient || ' ' || study), sum(expected), sum(received),
    sum(CASE WHEN received < expected THEN expected - received ELSE 0 END), sum(released), sum(duplicate),
    sum(refused), sum(CASE WHEN received > expected OR received <> released + duplicate + refused + coalesce((
        SELECT sum(images) FROM withheld WHERE withheld.run_id = line.run_id
        AND withheld.patient = line.patient AND withheld.study = line.study
        AND withheld.series = line.series), 0) THEN 1 ELSE 0 END)
FROM line WHERE run_id = :run
"""
ALL: Final = ""
ONE: Final = " AND patient = :patient"
"""Conditions on a run's patients, lines or notes; the second needs the value ``patient``."""


def of_lines(counts: Sequence[SeriesCounts]) -> Counter[str]:
    """Return what one patient's *counts* add to the totals."""
    found: Counter[str] = Counter(series=len(counts), studies=len({line.study for line in counts}))
    for line in counts:
        found.update({name: getattr(line, name) for name in IMAGES})
        found.update({WITHHELD + str(reason): images for reason, images in line.withheld.items()})
        found[OFF] += not line.adds_up
    return found


def of_findings(findings: Sequence[Finding]) -> Counter[str]:
    """Return what one patient's *findings* add to the totals."""
    return Counter(FOUND + str(one.kind) for one in findings)


def summed(db: Db, run_id: str, condition: str, **values: object) -> Counter[str]:
    """Return what stored lines, notes and findings of patients that meet *condition* add to the totals."""
    sums = db.rows(_SUMS + condition, run=run_id, **values)[0]
    found: Counter[str] = Counter({name: int(number or 0) for name, number in zip(_LINES, sums, strict=True)})
    for reason, images in db.rows(
        f"SELECT reason, sum(images) FROM withheld WHERE run_id = :run{condition} GROUP BY reason",  # noqa: S608 - a literal
        run=run_id,
        **values,
    ):
        found[WITHHELD + str(reason)] += int(images)
    notes = db.rows(f"SELECT count(*) FROM note WHERE run_id = :run{condition}", run=run_id, **values)  # noqa: S608 - as above
    found[NOTES] += int(notes[0][0])
    for kind, number in db.rows(
        f"SELECT kind, count(*) FROM inconsistency WHERE run_id = :run{condition} GROUP BY kind",  # noqa: S608 - as above
        run=run_id,
        **values,
    ):
        found[FOUND + str(kind)] += int(number)
    return found


def of_state(state: str, reason: str | None) -> str:
    """Return the name under which a patient in *state* is counted."""
    if state == "parked":
        return PARKED + str(reason)
    return UNRESOLVED + str(reason) if state == "unresolved" else PATIENTS + state


def add(db: Db, run_id: str, change: Mapping[str, int]) -> None:
    """Add *change* to the run's totals."""
    db.many(
        "INSERT INTO total (run_id, name, number) VALUES (:run, :name, :number)"
        " ON CONFLICT (run_id, name) DO UPDATE SET number = total.number + excluded.number",
        [{"run": run_id, "name": name, "number": number} for name, number in change.items() if number],
    )


def read(db: Db, run_id: str) -> dict[str, int]:
    """Return the run's totals; names that are 0 are absent."""
    found = db.rows("SELECT name, number FROM total WHERE run_id = :run AND number <> 0", run=run_id)
    return {str(name): int(number) for name, number in found}


def recounted(db: Db, run_id: str) -> dict[str, int]:
    """Return the run's totals counted anew from all of its rows; names that are 0 are absent."""
    found = summed(db, run_id, ALL)
    for state, reason, number in db.rows(
        "SELECT state, reason, count(*) FROM patient WHERE run_id = :run GROUP BY state, reason", run=run_id
    ):
        found[of_state(str(state), reason)] += int(number)
    return {name: number for name, number in found.items() if number}


def rewrite(db: Db, run_id: str) -> None:
    """Replace the run's totals by those counted anew."""
    db.rows("DELETE FROM total WHERE run_id = :run", run=run_id)
    add(db, run_id, recounted(db, run_id))


def finished(sums: Totals) -> int:
    """Return how many patients need no further work and were not given up."""
    ended = ("patients done", "patients absent")
    return sum(n for name, n in sums.items() if name in ended or name.startswith(UNRESOLVED))
