"""Studies as the archives listed them when they were last extracted: what a sync compares with.

Pseudonyms and shifted days only. A study is *seen* once its patient is done in the run that was to extract
it: until then it is kept beside that run as *found*, so that a run that was killed is gone on with.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from p2d.jobs import register, totals
from p2d.jobs.book import Book
from p2d.jobs.register import Finding
from p2d.jobs.store import Db, Row

_NAMES: Final = ("study", "patient", "archive", "series", "instances", "modalities", "day", "depth")
_COLUMNS: Final = ", ".join(_NAMES)
_VALUES: Final = ", ".join(f":{name}" for name in _NAMES)
_SELECT: Final = f"SELECT {_COLUMNS}, run_id, gone_since FROM study_seen"  # noqa: S608 - literals
_PAGE: Final = 5_000
"""Patients whose studies are read at a time."""

_SETTLE: Final = f"""
INSERT INTO study_seen ({_COLUMNS}, run_id)
SELECT {", ".join("f." + name for name in _NAMES)}, f.run_id FROM study_found f
JOIN patient p ON p.run_id = f.run_id AND p.patient = f.patient
WHERE f.run_id = :run AND p.state = 'done'
ON CONFLICT (study, patient, archive) DO UPDATE SET series = excluded.series, instances = excluded.instances,
    modalities = excluded.modalities, day = excluded.day, depth = excluded.depth, run_id = excluded.run_id
"""  # noqa: S608 - literals
_OF_ONE: Final = " WHERE study = :study AND patient = :patient AND archive = :archive"


@dataclass(frozen=True, slots=True)
class SeenStudy:
    """One study of a patient as one archive listed it; all ids are pseudonyms, ``day`` is shifted.

    ``series`` and ``instances`` are None where they are not known. ``depth`` says what is extracted of it,
    in ``run_id``. ``is_gone``: the archive has been found not to list it any more.
    """

    study: str
    patient: str
    archive: str
    series: int | None
    instances: int | None
    modalities: tuple[str, ...]
    day: date | None
    depth: str
    run_id: str = ""
    is_gone: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Study, patient and archive."""
        return self.study, self.patient, self.archive


class SeenStudies:
    """The seen studies of one ledger; each call is one short transaction."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def of(self, studies: Iterable[str]) -> list[SeenStudy]:
        """Return what was seen of *studies*, of whichever patient, in whichever archive."""
        unique = sorted(set(studies))

        def look(db: Db) -> list[SeenStudy]:
            return [
                _seen(row)
                for study in unique
                for row in db.rows(f"{_SELECT} WHERE study = :study ORDER BY patient, archive", study=study)
            ]

        return self._book.store.read(look)

    def by_patient(self) -> Iterator[list[SeenStudy]]:
        """Yield all that was seen, the studies of some patients at a time."""
        after = ""
        while True:
            found = self._book.store.read(
                lambda db, start=after: db.rows(  # type: ignore[misc]  # the default binds the loop's place
                    "SELECT DISTINCT patient FROM study_seen WHERE patient > :after"
                    " ORDER BY patient LIMIT :most",
                    after=start,
                    most=_PAGE,
                )
            )
            if not found:
                return
            first, after = str(found[0][0]), str(found[-1][0])
            yield self._between(first, after)

    def _between(self, first: str, last: str) -> list[SeenStudy]:
        found = self._book.store.read(
            lambda db: db.rows(
                f"{_SELECT} WHERE patient >= :first AND patient <= :last ORDER BY patient, study, archive",
                first=first,
                last=last,
            )
        )
        return [_seen(row) for row in found]

    def unsettled(self) -> list[str]:
        """Return the runs of earlier syncs that are not through, or whose studies are not settled, by age."""
        found = self._book.store.read(
            lambda db: db.rows(
                "SELECT run_id FROM run WHERE kind = 'sync' AND (state IN ('open', 'running')"
                " OR EXISTS (SELECT 1 FROM study_found f WHERE f.run_id = run.run_id)) ORDER BY run_id"
            )
        )
        return [str(run_id) for (run_id,) in found]

    def settle(self, run_id: str, *, drop: bool = False) -> None:
        """Count what a run found as seen where the patient is done; forget what is of finished patients.

        With *drop* those of unfinished patients are forgotten, too. Asked twice, it changes nothing.

        Raises:
            NotFound: no such run.

        """
        left = "" if drop else (
            " AND patient IN (SELECT patient FROM patient WHERE run_id = :run"
            " AND state IN ('done', 'absent', 'unresolved', 'parked'))"
        )  # fmt: skip

        def settled(db: Db) -> None:
            db.rows(_SETTLE, run=run_id)
            db.rows(f"DELETE FROM study_found WHERE run_id = :run{left}", run=run_id)  # noqa: S608 - literals

        self._book.change(run_id, settled)

    def move(self, studies: Sequence[SeenStudy]) -> None:
        """Keep the days of *studies*, which are still there, on another day than was asked for."""
        self._book.store.write(
            lambda db: db.many(
                f"UPDATE study_seen SET day = :day{_OF_ONE}",  # noqa: S608 - literals
                [_values(one) for one in studies],
            )
        )

    def note_presence(
        self, run_id: str, gone: Sequence[SeenStudy], back: Sequence[SeenStudy], findings: Sequence[Finding]
    ) -> None:
        """Mark *gone* studies, unmark those that are *back*, and write *findings* into the run's register.

        Raises:
            NotFound: no such run.

        """
        now = self._book.store.now()

        def noted(db: Db) -> None:
            for some, since in ((gone, now), (back, None)):
                db.many(
                    f"UPDATE study_seen SET gone_since = :since{_OF_ONE}",  # noqa: S608 - literals
                    [{**_values(one), "since": since} for one in some],
                )
            register.write(db, run_id, findings)
            totals.add(db, run_id, totals.of_findings(findings))

        self._book.change(run_id, noted)


def write_found(db: Db, run_id: str, studies: Iterable[SeenStudy]) -> None:
    """Keep *studies* beside a new run, in the transaction that opens it."""
    db.many(
        f"INSERT INTO study_found (run_id, {_COLUMNS}) VALUES (:run, {_VALUES})",  # noqa: S608 - literals
        [{**_values(one), "run": run_id} for one in studies],
    )


def _values(one: SeenStudy) -> dict[str, object]:
    return {
        "study": one.study,
        "patient": one.patient,
        "archive": one.archive,
        "series": one.series,
        "instances": one.instances,
        "modalities": " ".join(one.modalities),
        "day": None if one.day is None else one.day.isoformat(),
        "depth": one.depth,
    }


def _seen(row: Row) -> SeenStudy:
    study, patient, archive, series, instances, modalities, day, depth, run_id, gone_since = row
    bare = SeenStudy(str(study), str(patient), str(archive), series, instances, (), None, str(depth))
    return replace(
        bare,
        modalities=tuple(str(modalities).split()),
        day=date.fromisoformat(day) if day else None,
        run_id=str(run_id),
        is_gone=gone_since is not None,
    )
