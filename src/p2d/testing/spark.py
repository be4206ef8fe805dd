"""Spark for tests: one small application in this process, and a standalone cluster of processes."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pyspark
from pyspark.sql import SparkSession

from p2d.testing.installation import free_ports
from p2d.testing.servers import running
from p2d.testing.waiting import until
from p2d.warehouse.spark.cluster import Application, started

_START_SECONDS: Final = 60.0
_SMALL: Final = {
    "spark.sql.codegen.wholeStage": "false",  # compiling takes longer than the few rows of a test
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
    "spark.sql.files.maxPartitionBytes": "1g",
    "spark.sql.files.openCostInBytes": "0",
}
_MASTER: Final = "org.apache.spark.deploy.master.Master"
_WORKER: Final = "org.apache.spark.deploy.worker.Worker"


def in_process() -> SparkSession:
    """Return Spark in this process, small and with two threads; it lives as long as the process."""
    return started(Application("local[2]", driver_memory=1024, partitions=1, settings=_SMALL))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A standalone master with workers of one core each, on loopback."""

    master: str
    workers: int


@contextmanager
def cluster(folder: Path, workers: int, memory: int = 1024) -> Iterator[Cluster]:
    """Yield a cluster whose logs and work lie in *folder*; *memory* in MiB is that of each worker."""
    port, *_ = free_ports(1)
    address = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        log = folder / "master.log"
        stack.enter_context(_daemon(_MASTER, log, "--port", str(port)))
        until(lambda: "Starting Spark master" in _text(log), seconds=_START_SECONDS)
        for number in range(workers):
            own, log = folder / f"worker-{number}", folder / f"worker-{number}.log"
            own.mkdir()
            limits = ("--cores", "1", "--memory", f"{memory}m", "--work-dir", str(own))
            stack.enter_context(_daemon(_WORKER, log, *limits, address))
            until(partial(_is_registered, log), seconds=_START_SECONDS)
        yield Cluster(address, workers)


def _daemon(name: str, log: Path, *arguments: str) -> AbstractContextManager[None]:
    """Run the class *name* of Spark on loopback; a master's address goes last."""
    home = Path(pyspark.__file__).parent
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.nio", "sun.nio.ch")]
    started_as = ["java", "-Xmx512m", "-cp", f"{home / 'jars'}/*", *opened, name]
    more = {
        "SPARK_HOME": str(home),
        "SPARK_SCALA_VERSION": "2.13",  # else it is looked for in a build of Spark
        "PYSPARK_PYTHON": sys.executable,
    }
    return running([*started_as, "--host", "127.0.0.1", "--webui-port", "0", *arguments], log, more=more)


def _is_registered(log: Path) -> bool:
    return "Successfully registered" in _text(log)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
