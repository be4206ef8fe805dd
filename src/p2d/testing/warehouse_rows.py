"""Small builders of batches: pseudonyms and UIDs by number, tables from rows."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from p2d.model.ids import check_character
from p2d.warehouse.batch import SCHEMAS, Batch

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]


def patient_psn(number: int) -> str:
    """Return a well-formed patient pseudonym."""
    return _psn("P", number, 16)


def case_psn(number: int) -> str:
    """Return a well-formed case pseudonym."""
    return _psn("C", number, 16)


def accession_psn(number: int) -> str:
    """Return a well-formed accession pseudonym."""
    return _psn("A", number, 14)


def uid(number: int) -> str:
    """Return a UID of the form that P2D derives."""
    return f"2.25.{number}"


def table(name: str, rows: Sequence[Row]) -> pa.Table:
    """Return *rows* with the schema of the table *name*; columns left out are empty."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[name])


def batch(rows: Rows, batch_id: str = "b1", source: str = "basic", run_id: str = "r1") -> Batch:
    """Return a batch of *rows* by table."""
    return Batch(batch_id, source, run_id, {name: table(name, listed) for name, listed in rows.items()})


def small_study(patient: int = 1, study: int = 100, images: int = 2) -> dict[str, list[Row]]:
    """Return the tables of one CT study with one series."""
    keys = {"patient": patient_psn(patient), "study": uid(study)}
    series = {**keys, "series": uid(study + 1)}
    return {
        "study": [
            {**keys, "archive": "main", "StudyDescription": "CT Thorax nativ", "ModalitiesInStudy": "CT"}
        ],
        "series": [{**series, "Modality": "CT", "SeriesNumber": 1}],
        "instance": [
            {**series, "instance": uid(study + 2 + n), "InstanceNumber": n + 1, "scope": "basic"}
            for n in range(images)
        ],
    }


def _psn(prefix: str, number: int, length: int) -> str:
    body = prefix + str(number).zfill(length)
    return body + check_character(body)
