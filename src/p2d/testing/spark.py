"""Spark for tests: one small application in this process, and a standalone cluster of processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyspark
from pyspark.sql import SparkSession

from p2d.testing.installation import free_ports
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
        stack.enter_context(_running(_MASTER, log, "--host", "127.0.0.1", "--port", str(port)))
        until(lambda: "Starting Spark master" in _text(log), seconds=_START_SECONDS)
        for number in range(workers):
            own = folder / f"worker-{number}"
            own.mkdir()
            arguments = ("--host", "127.0.0.1", "--cores", "1", "--memory", f"{memory}m")
            log = folder / f"worker-{number}.log"
            stack.enter_context(_running(_WORKER, log, *arguments, "--work-dir", str(own), address))
            until(lambda log=log: "Successfully registered" in _text(log), seconds=_START_SECONDS)  # type: ignore[misc] # mypy cannot tell a lambda's default
        yield Cluster(address, workers)


@contextmanager
def _running(name: str, log: Path, *arguments: str) -> Iterator[None]:
    jars = Path(pyspark.__file__).parent / "jars"
    options = ("-Xmx512m", "-cp", f"{jars}/*")
    opened = ("--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED")
    command = ["java", *options, *opened, name, *arguments, "--webui-port", "0"]
    address = arguments[-1:] if arguments[-1].startswith("spark://") else ()
    if address:  # the master's address goes last
        command = ["java", *options, *opened, name, *arguments[:-1], "--webui-port", "0", *address]
    environment = {
        **os.environ,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_SCALA_VERSION": "2.13",  # else it is looked for in a build of Spark
        "PYSPARK_PYTHON": sys.executable,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def stopped(spark: SparkSession) -> float:
    """Stop *spark* and return how long that took; another one can be started in this process then."""
    begin = time.monotonic()
    spark.stop()
    return time.monotonic() - begin
