"""The inconsistency register: what a run met that does not fit together, in pseudonyms, never in values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from p2d.jobs.completeness import csv_of
from p2d.jobs.store import Db

_NAMES: Final = ("kind", "patient", "study", "series", "instance", "attribute", "times")
_COLUMNS: Final = ", ".join(_NAMES)
_PAGE: Final = 5_000


class Inconsistency(StrEnum):
    """What can be wrong between an archive's index, its objects and the rules of DICOM."""

    COUNT_DISAGREES = "count disagrees"
    HEADER_DISAGREES = "header disagrees"
    FOREIGN_PATIENT = "foreign patient"
    DUPLICATE_DIFFERS = "duplicate differs"
    NOT_ASKED_FOR = "not asked for"
    NEVER_ARRIVED = "never arrived"
    ACCESSION_SHARED = "accession shared"
    SERIES_SPLIT = "series split"
    NUMBER_MISSING = "number missing"
    NUMBER_REPEATED = "number repeated"
    DATE_MISSING = "date missing"
    MODALITY_MISSING = "modality missing"
    GONE = "gone"

    @property
    def explanation(self) -> str:
        """What it means and what P2D does about it."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Inconsistency.COUNT_DISAGREES: (
        "The archive counts another number of instances in a series than it lists. The larger number is "
        "expected; what is not there is missing."
    ),
    Inconsistency.HEADER_DISAGREES: (
        "An attribute of the retrieved object differs from the archive's answer to the query. The archive's "
        "answer decides the hierarchy; the object's own value stays in its extended header."
    ),
    Inconsistency.FOREIGN_PATIENT: (
        "A retrieved object states another PatientID than the archive files it under. It is released under "
        "the archive's patient only where de-identification knows both identities, else withheld."
    ),
    Inconsistency.DUPLICATE_DIFFERS: (
        "One SOP Instance UID arrived twice with different bytes. The first is used; the archive has to say "
        "which is right."
    ),
    Inconsistency.NOT_ASKED_FOR: "The archive sent objects that nobody had asked for. They were refused.",
    Inconsistency.NEVER_ARRIVED: (
        "The archive lists an instance but does not send it, asked for in a list and by itself."
    ),
    Inconsistency.ACCESSION_SHARED: (
        "Several studies of a patient bear one accession number. Each is linked to every report with it."
    ),
    Inconsistency.SERIES_SPLIT: (
        "One Series Instance UID occurs in several studies. Each part is a series of its own study."
    ),
    Inconsistency.NUMBER_MISSING: (
        "Instances without InstanceNumber. They come last in the order of their series, by UID."
    ),
    Inconsistency.NUMBER_REPEATED: (
        "InstanceNumber occurs more than once in a series. Instances of one number are ordered by UID."
    ),
    Inconsistency.DATE_MISSING: "A study without StudyDate. No time frame finds it.",
    Inconsistency.MODALITY_MISSING: "A series without Modality. No choice of modalities finds it.",
    Inconsistency.GONE: "Seen in an earlier run, the archive does not list it any more.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One inconsistency of a patient, as precisely as is known: study, series and instance are pseudonyms.

    ``attribute`` is a DICOM keyword, ``times`` how many instances it concerns.
    """

    kind: Inconsistency
    patient: str
    study: str = ""
    series: str = ""
    instance: str = ""
    attribute: str = ""
    times: int = 1

    def as_json(self) -> dict[str, object]:
        """Return the finding as JSON-like data; what is not known is an empty text."""
        return {
            "kind": str(self.kind),
            "patient": self.patient,
            "study": self.study,
            "series": self.series,
            "instance": self.instance,
            "attribute": self.attribute,
            "times": self.times,
        }


def write(db: Db, run_id: str, findings: Sequence[Finding]) -> None:
    """Write *findings* of a patient that has none."""
    db.many(
        "INSERT INTO inconsistency (run_id, kind, patient, study, series, instance, attribute, times)"
        " VALUES (:run, :kind, :patient, :study, :series, :instance, :attribute, :times)",
        [{"run": run_id, **one.as_json()} for one in findings],
    )


def page(db: Db, run_id: str, kind: str, patient: str, after: int) -> tuple[int, list[Finding]]:
    """Return the findings of a run after the row *after*, a page of them, and the last row returned.

    An empty *kind* or *patient* stands for all.
    """
    found = db.rows(
        f"SELECT id, {_COLUMNS} FROM inconsistency WHERE run_id = :run AND id > :after"  # noqa: S608 - a literal
        " AND (:kind = '' OR kind = :kind) AND (:patient = '' OR patient = :patient)"
        " ORDER BY id LIMIT :most",
        run=run_id,
        after=after,
        kind=kind,
        patient=patient,
        most=_PAGE,
    )
    return (int(found[-1][0]) if found else after), [_finding(row[1:]) for row in found]


def _finding(row: tuple[object, ...]) -> Finding:
    kind, patient, study, series, instance, attribute, times = row
    return Finding(
        Inconsistency(str(kind)),
        str(patient),
        str(study),
        str(series),
        str(instance),
        str(attribute),
        int(str(times)),
    )


def pages(read: "Read", run_id: str, kind: str, patient: str) -> Iterator[Finding]:
    """Yield the findings of a run, a page in each snapshot."""
    after = 0
    while True:
        after, some = read(lambda db, start=after: page(db, run_id, kind, patient, start))  # type: ignore[misc]  # the default binds the loop's place
        if not some:
            return
        yield from some


Read = Callable[[Callable[[Db], tuple[int, list[Finding]]]], tuple[int, list[Finding]]]


def as_table(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield *findings* as CSV (RFC 4180) with a header, in pieces of one row."""
    return csv_of(_NAMES, (one.as_json() for one in findings))
