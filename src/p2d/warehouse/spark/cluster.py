"""Spark itself: one application of this process, and sessions of it that see one version of the copy each.

Views and kept keys belong to a session; a question has one to itself. Spark asks no question of the network
but to its own master and workers.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from p2d.model.errors import Misconfigured, Unavailable
from p2d.warehouse.spark.copy import Copy

_TYPES: Final = {
    "integer": "INT",
    "bigint": "BIGINT",
    "number": "DOUBLE",
    "text": "STRING",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
    "boolean": "BOOLEAN",
}
_BROADCAST: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Application:
    """How Spark is started: ``master`` as Spark writes it (``local[2]``, ``spark://host:7077``).

    ``host`` is the address that workers reach this process at. Memory is in MiB; ``partitions`` are the parts
    that rows are divided into between two steps of a question. ``settings`` are further ones of Spark's own.
    """

    master: str = "local[*]"
    host: str = "127.0.0.1"
    driver_memory: int = 2048
    executor_memory: int = 2048
    partitions: int = 8
    settings: Mapping[str, str] = field(default_factory=dict)


def started(application: Application) -> SparkSession:
    """Return Spark running as *application* says; within one process it is started once.

    Raises:
        Misconfigured: Java or the master is missing.

    """
    settings = {
        "spark.driver.host": application.host,
        "spark.driver.bindAddress": application.host,
        "spark.driver.memory": f"{application.driver_memory}m",
        "spark.executor.memory": f"{application.executor_memory}m",
        "spark.sql.shuffle.partitions": str(application.partitions),
        "spark.sql.autoBroadcastJoinThreshold": str(_BROADCAST),
        "spark.sql.caseSensitive": "true",
        "spark.sql.ansi.enabled": "false",  # what is no number is none, as in the other engines
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",  # a plan in the log would show what was asked
        **application.settings,
    }
    building = SparkSession.Builder().master(application.master).appName("p2d-warehouse")
    for name, value in settings.items():
        building = building.config(name, value)
    try:
        return building.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        raise Misconfigured(
            "spark.master",
            f"Spark does not start ({type(error).__name__})",
            "install Java 17, and see that the master runs",
        ) from None


class Sessions:
    """Sessions of *spark* over the newest copy below *folder*; safe to share between threads.

    At most *most* questions are asked at a time; others wait up to *seconds*.
    """

    def __init__(self, spark: SparkSession, folder: Path, most: int, seconds: float) -> None:
        self._spark = spark
        self._folder = folder
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: deque[tuple[str, SparkSession]] = deque()

    @contextmanager
    def session(self) -> Iterator[tuple[SparkSession, Copy]]:
        """Yield a session of one's own and the copy that its views show.

        Raises:
            Misconfigured: there is no copy.
            Unavailable: too many questions are asked.

        """
        if not self._places.acquire(timeout=self._seconds):
            raise Unavailable("query", "waited too long for others", "ask when fewer others do")
        try:
            copy = Copy.newest(self._folder)
            own = self._taken(copy)
            yield own, copy
            with self._lock:
                self._idle.append((copy.label, own))
        finally:
            self._places.release()

    def _taken(self, copy: Copy) -> SparkSession:
        with self._lock:
            self._idle = deque(one for one in self._idle if one[0] == copy.label)
            if self._idle:
                return self._idle.pop()[1]
        made = self._spark.newSession()
        for name, table in copy.tables.items():
            columns = ", ".join(f"`{column}` {_TYPES[kind]}" for column, kind in table.columns.items())
            rows = made.read.schema(columns).parquet(*map(str, table.files))
            rows.createOrReplaceTempView(name)
        return made


def cancel(spark: SparkSession, group: str) -> None:
    """End the jobs of *group*; never raises."""
    with contextlib.suppress(Exception):  # Spark may be on its way out
        spark.sparkContext.cancelJobGroup(group)
