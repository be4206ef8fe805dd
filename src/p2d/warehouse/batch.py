"""The batch: what travels from the hospital zone into the warehouse, and the receipt for it.

A batch is a set of tables (Arrow schemas below) with an id and a SHA-256 digest over its bytes. On the wire
it is an uncompressed ZIP of one Parquet file a table. All ids are pseudonyms, all dates shifted; ``check``
refuses anything else before a row is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from p2d.warehouse.distinct import Columns

_TEXT: Final = pa.string()

# Clinical side -----------------------------------------------------------------------------------------
PATIENT: Final = pa.schema([("patient", _TEXT), ("sex", _TEXT), ("birth_year", pa.int32())])
CASE: Final = pa.schema(
    [("patient", _TEXT), ("case", _TEXT), ("start", pa.date32()), ("end", pa.date32()), ("type", _TEXT)]
)
DOCUMENT: Final = pa.schema(
    [
        ("patient", _TEXT),
        ("case", _TEXT),  # may be null
        ("document", _TEXT),  # the source's own key, unique per source
        ("kind", _TEXT),  # discharge_letter, radiology_report, laboratory, echocardiography …
        ("date", pa.date32()),
        ("accession", _TEXT),  # pseudonym, radiology reports only
        ("text", _TEXT),
        ("source", _TEXT),  # the system it came from
    ]
)
FACT: Final = pa.schema(
    [
        ("patient", _TEXT),
        ("case", _TEXT),
        ("document", _TEXT),
        ("group", _TEXT),  # binds the attributes of one laboratory value
        ("attribute", _TEXT),  # ICD10, OPS, LVEF, TROPONIN …
        ("date", pa.date32()),
        ("number", pa.float64()),
        ("code", _TEXT),
        ("text", _TEXT),
        ("unit", _TEXT),
        ("time", _TEXT),  # HH:MM:SS
        ("source", _TEXT),  # the system it came from
    ]
)

# Imaging side ------------------------------------------------------------------------------------------
# Basic headers are typed columns; extended headers are rows of ``header``. ``flags`` are blank-separated.
STUDY: Final = pa.schema(
    [
        ("archive", _TEXT),  # blank-separated where several archives hold it
        ("patient", _TEXT),
        ("study", _TEXT),
        ("accession", _TEXT),
        ("case", _TEXT),  # pseudonym of AdmissionID where the archive gives one
        ("StudyDate", pa.date32()),
        ("StudyTime", _TEXT),
        ("StudyDescription", _TEXT),
        ("ModalitiesInStudy", _TEXT),
        ("NumberOfStudyRelatedSeries", pa.int32()),
        ("NumberOfStudyRelatedInstances", pa.int32()),
        ("flags", _TEXT),
    ]
)
SERIES: Final = pa.schema(
    [
        ("patient", _TEXT),
        ("study", _TEXT),
        ("series", _TEXT),
        ("Modality", _TEXT),
        ("SeriesNumber", pa.int64()),
        ("SeriesDescription", _TEXT),
        ("SeriesDate", pa.date32()),
        ("BodyPartExamined", _TEXT),
        ("ProtocolName", _TEXT),
        ("Manufacturer", _TEXT),
        ("NumberOfSeriesRelatedInstances", pa.int32()),
        ("flags", _TEXT),
    ]
)
INSTANCE: Final = pa.schema(
    [
        ("patient", _TEXT),
        ("study", _TEXT),
        ("series", _TEXT),
        ("instance", _TEXT),
        ("InstanceNumber", pa.int64()),
        ("SOPClassUID", _TEXT),
        ("Rows", pa.int32()),
        ("Columns", pa.int32()),
        ("NumberOfFrames", pa.int32()),
        ("scope", _TEXT),  # basic | extended: where this row came from
        ("archives", _TEXT),  # blank-separated; null where one archive was asked, as the study's row names it
        ("flags", _TEXT),
    ]
)
HEADER: Final = pa.schema(
    [
        ("patient", _TEXT),
        ("study", _TEXT),
        ("series", _TEXT),
        ("instance", _TEXT),
        ("path", _TEXT),  # 00081115[0].0020000E
        ("keyword", _TEXT),  # keyword of the last tag of the path
        ("vr", _TEXT),
        ("item", pa.int32()),  # index of the value, 0 for the first
        ("number", pa.float64()),
        ("date", pa.date32()),
        ("text", _TEXT),
    ]
)

# Which archive lists a study no longer, or again ------------------------------------------------------
PRESENCE: Final = pa.schema(
    [("patient", _TEXT), ("study", _TEXT), ("archive", _TEXT), ("state", _TEXT)]  # gone | present
)

SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "patient": PATIENT,
    "case": CASE,
    "document": DOCUMENT,
    "fact": FACT,
    "study": STUDY,
    "series": SERIES,
    "instance": INSTANCE,
    "header": HEADER,
    "presence": PRESENCE,
}

OPTIONAL: Final[Mapping[str, tuple[str, ...]]] = {"document": ("source",), "fact": ("time", "source")}
"""Last columns that a sender of an earlier version does not know; empty ones do not count in the digest."""


def completed(name: str, table: pa.Table) -> pa.Table:
    """Return *table* with the ``OPTIONAL`` columns that it lacks, empty; as it is where others lack."""
    schema = SCHEMAS[name]
    missing = schema.names[len(table.column_names) :]
    if not missing or not set(missing) <= set(OPTIONAL.get(name, ())):
        return table
    for column in missing:
        table = table.append_column(schema.field(column), pa.nulls(table.num_rows, schema.field(column).type))
    return table


@dataclass(frozen=True, slots=True)
class Batch:
    """Tables to load together; every table has its schema of ``SCHEMAS``.

    ``batch_id`` names the attempt-independent unit of work (run and patients): the same id with the same
    digest is answered by the receipt already given, with another digest it is refused. ``digest`` is what
    ``p2d.warehouse.wire`` found it to be, so that it is not computed again; nobody else sets it.
    """

    batch_id: str
    source: str  # clinical | basic | extended | sync
    run_id: str
    tables: Mapping[str, pa.Table]
    digest: str = field(default="", compare=False)
    taken_apart: dict[str, Columns] = field(default_factory=dict, compare=False, repr=False)

    def columns(self, name: str) -> Columns:
        """Return the columns of the table *name*, taken apart once for all who look at them."""
        if name not in self.taken_apart or self.taken_apart[name].table is not self.tables[name]:
            self.taken_apart[name] = Columns(self.tables[name])
        return self.taken_apart[name]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a batch was committed: its id, digest and rows per table."""

    batch_id: str
    digest: str
    rows: Mapping[str, int]
