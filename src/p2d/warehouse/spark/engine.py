"""The warehouse on Spark: it answers questions over a Parquet copy and is never loaded.

What is one patient's only (the list of studies) is read from the files themselves: the start of a Spark job
costs more than that. Saved cohorts lie in a small file of this process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.browse import StudyLine, read_studies
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.quarantine import OnBadRows
from p2d.warehouse.query.answers import Answers
from p2d.warehouse.query.catalogue_reading import Branches, no_branches
from p2d.warehouse.query.session import Session
from p2d.warehouse.spark.cluster import Sessions
from p2d.warehouse.spark.copy import Copy
from p2d.warehouse.spark.session import asking
from p2d.warehouse.statements import Row, Statements

_CATALOGUE: Final = frozenset(
    {"promotion", "catalogue_attribute", "catalogue_number", "catalogue_value", "catalogue_path"}
)
_REMEDY: Final = "load into the warehouse that the copy is made of, then: p2d warehouse export --form parquet"


class SparkWarehouse(Answers):
    """The research side's port over *spark* and the copies below *folder*; safe to share between threads.

    A question sees the copy that is the newest when it begins. Saved cohorts lie in the file *saved*, in
    memory where it is None. At most *most* questions are asked at a time, each for *query_seconds*.

    Raises:
        Misconfigured: there is no copy of this version of P2D, or *saved* cannot be opened.

    """

    def __init__(
        self,
        spark: SparkSession,
        folder: Path,
        saved: Path | None,
        *,
        query_seconds: float = 300.0,
        most: int = 2,
        branches: Branches = no_branches,
    ) -> None:
        super().__init__(branches=branches)
        Copy.newest(folder)
        self._own = DuckDbWarehouse(saved)
        self.saved = self._own.saved
        self._folder = folder
        self._seconds = query_seconds
        self._sessions = Sessions(spark, folder, most, query_seconds)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a snapshot for a question; see ``p2d.warehouse.query.session``."""
        with (
            self._sessions.session() as (spark, copy),
            asking(spark, copy.version, self._seconds) as session,
        ):
            yield session

    def load(self, batch: Batch, on_bad_rows: OnBadRows = "refuse") -> Receipt:
        """Refuse: the copy is written by the warehouse it is of.

        Raises:
            InvalidRequest: always.

        """
        del batch, on_bad_rows
        self._refuse()

    def receipt(self, batch_id: str) -> Receipt | None:  # noqa: ARG002 - of the port
        """Return None: nothing was loaded here."""
        return None

    @property
    def keeps_words(self) -> bool:
        """False: texts are read by all workers."""
        return False

    @contextmanager
    def looking(self) -> Iterator[Statements]:
        """Open the catalogue and the promotions of the newest copy, as they were counted when it was made."""
        tables = Copy.newest(self._folder).tables
        rows = {name: table.read() for name, table in tables.items() if name in _CATALOGUE}
        counted = rows["catalogue_attribute"]
        place = counted.schema.get_field_index("is_stale")
        as_it_is = pa.array([False] * counted.num_rows, pa.bool_())
        rows["catalogue_attribute"] = counted.set_column(place, "is_stale", as_it_is)
        with duckdb.connect(":memory:") as database:
            yield _Registered(database, rows)

    def inspecting(self) -> NoReturn:
        """Refuse: what is checked is the warehouse that the copy is of."""
        self._refuse()

    def tending(self) -> NoReturn:
        """Refuse: what is changed is the warehouse that the copy is of."""
        self._refuse()

    def arrange(self) -> NoReturn:
        """Refuse: a copy has the order of the warehouse it is of."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InvalidRequest("warehouse", "is a copy on Spark, which is only read", _REMEDY)

    def studies_of(self, patient: str) -> tuple[StudyLine, ...]:
        """Return the studies and series known of *patient*, oldest first; none for an unknown one."""
        copy = Copy.newest(self._folder)
        found = copy.tables["patient"].read(where=pc.field("patient") == patient)
        if not found.num_rows:
            return ()
        rows = dict(copy.of_patient(found["patient_key"][0].as_py()))
        gone = copy.tables["archive_gone"].read()
        rows["archive_gone"] = gone.filter(pc.is_in(gone["study_key"], rows["study"]["study_key"]))
        with duckdb.connect(":memory:") as database:
            return read_studies(_Registered(database, rows), patient)

    def patients(self) -> tuple[Pseudonym, ...]:
        """Return all patients' pseudonyms, in order."""
        listed = Copy.newest(self._folder).tables["patient"].read()["patient"].to_pylist()
        return tuple(Pseudonym(text) for text in sorted(listed))

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        return {name: table.rows for name, table in Copy.newest(self._folder).tables.items()}

    def close(self) -> None:
        """Close the file of saved cohorts; Spark is its starter's to stop."""
        self._own.close()


class _Registered:
    """Statements over *rows*, tables of one patient."""

    def __init__(self, database: duckdb.DuckDBPyConnection, rows: dict[str, pa.Table]) -> None:
        self._database = database
        for name, table in rows.items():
            database.register(name, table)

    def rows(self, statement: str, /, **values: object) -> list[Row]:
        """Run *statement* and return its rows."""
        return self._database.execute(statement, values).fetchall()
