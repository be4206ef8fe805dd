"""A standalone Spark cluster of real processes answers as the warehouse that its copy is made of."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from p2d.testing.exchanging import copied, filled, small_hospital
from p2d.warehouse.query.parse import parse

pytest.importorskip("pyspark", reason="Spark is an extra: pip install 'p2d[spark]'")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 (apt-get install openjdk-17-jre-headless)", allow_module_level=True)

from p2d.testing.spark import cluster

pytestmark = [pytest.mark.system, pytest.mark.long]
QUERY = {
    "version": 2,
    "level": "patient",
    "where": {
        "all": [
            {"attribute": "Modality", "equals": "CT"},
            {"none": [{"attribute": "Modality", "equals": "MR"}]},
        ]
    },
}
# Another process: one has one Spark application, and other tests have theirs in this one.
ASKING = """
import json, sys
from pathlib import Path
from p2d.warehouse.query.parse import parse
from p2d.warehouse.spark.cluster import Application, started
from p2d.warehouse.spark.engine import SparkWarehouse
master, folder, query = sys.argv[1:]
spark = started(Application(master, driver_memory=512, executor_memory=512, partitions=2))
warehouse = SparkWarehouse(spark, Path(folder), None)
found = [str(patient) for patient in warehouse.cohort(parse(json.loads(query)))]
print(json.dumps([found, spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1]))
warehouse.close()
spark.stop()
"""


def test_master_and_two_workers_answer_as_the_file_does(tmp_path: Path) -> None:
    with filled(small_hospital(12)) as origin:
        folder = copied(origin, tmp_path / "copy", parts=4)
        expected = [str(patient) for patient in origin.cohort(parse(QUERY))]

    with cluster(tmp_path, workers=2) as running:
        asked = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ASKING, running.master, str(folder), json.dumps(QUERY)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    assert asked.returncode == 0, asked.stderr[-2000:]
    assert json.loads(asked.stdout.splitlines()[-1]) == [expected, 2]
    assert expected
