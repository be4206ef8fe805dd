"""One question on Spark: statements with named parameters over one version of the copy, within its time."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from sqlglot import exp

from p2d.model.errors import InvalidRequest, Unavailable
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.nodes import Value
from p2d.warehouse.query.session import Keys, sorted_once
from p2d.warehouse.query.stopping import current_stop, ended
from p2d.warehouse.spark.cluster import cancel
from p2d.warehouse.spark.dialect import SparkDialect

_DIALECT: Final = SparkDialect()
_CANCEL_SECONDS: Final = 0.2
_REFUSED: Final = frozenset({"INVALID_PARAMETER_VALUE", "INVALID_REGEXP_REPLACE", "CAST_INVALID_INPUT"})
"""Error classes of Spark that speak of a pattern or operand, not of a statement."""


class SparkCohortSession:
    """See the port ``p2d.warehouse.query.session.Session``."""

    def __init__(self, spark: SparkSession, version: int) -> None:
        self._spark = spark
        self._version = version
        self._kept: dict[str, DataFrame] = {}

    @property
    def dialect(self) -> Dialect:
        """How Spark writes what SQL leaves open."""
        return _DIALECT

    @property
    def version(self) -> int:
        """The version of the data in the copy."""
        return self._version

    def keys(self, query: exp.Expr, parameters: Mapping[str, Value]) -> Keys:
        """Return the only column of *query*: ascending, each once and without NULL."""
        found = self._asked(query, parameters).toArrow().column(0).combine_chunks()
        return sorted_once(np.array(found.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)))

    def rows(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[tuple[object, ...]]:
        """Return the rows of *query* as they come."""
        return [tuple(map(_plain, row)) for row in self._asked(query, parameters).collect()]

    def names(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[str]:
        """Return the only column of *query*."""
        return [str(name) for (name,) in self.rows(query, parameters)]

    def keep(self, name: str, keys: Keys) -> None:
        """Keep *keys* as the temporary view *name* of one column ``k``, in the workers' memory."""
        self._forget(name)
        kept = self._spark.createDataFrame(pa.table({"k": pa.array(keys, pa.int64())})).persist()
        kept.createOrReplaceTempView(name)
        self._kept[name] = kept

    def keep_found(self, name: str, query: exp.Expr, parameters: Mapping[str, Value]) -> None:
        """Keep the rows of *query* as the temporary view *name*, in the workers' memory."""
        self._forget(name)
        kept = self._asked(query, parameters).persist()
        kept.createOrReplaceTempView(name)
        self._kept[name] = kept

    def terms(self, pieces: frozenset[str]) -> None:
        """Return None: texts are read by all workers, without an index of words."""

    def forget(self) -> None:
        """Drop what was kept."""
        for name in list(self._kept):
            self._forget(name)

    def _forget(self, name: str) -> None:
        if name in self._kept:
            self._spark.catalog.dropTempView(name)
            self._kept.pop(name).unpersist()

    def _asked(self, query: exp.Expr, parameters: Mapping[str, Value]) -> DataFrame:
        text, used = _DIALECT.statement(query, parameters)
        assert isinstance(used, Mapping)  # noqa: S101 - Spark's dialect names them
        return self._spark.sql(text, args=dict(used))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


@contextmanager
def asking(spark: SparkSession, version: int, seconds: float) -> Iterator[SparkCohortSession]:
    """Yield a question's session on *spark*; it ends after *seconds*.

    Raises:
        InvalidRequest: Spark refuses a pattern or operand.
        Unavailable: it took longer, was cancelled, or Spark does not answer.

    """
    session, stop = SparkCohortSession(spark, version), current_stop()
    group = secrets.token_hex(8)
    spark.sparkContext.setJobGroup(group, "question", interruptOnCancel=True)
    with ended(partial(cancel, spark, group), stop, again=_CANCEL_SECONDS, seconds=seconds) as is_over:
        try:
            stop.check()
            yield session
        except (PySparkException, Py4JError) as error:
            stop.check()
            if is_over.is_set():
                problem = f"took longer than {seconds:g} s"
                raise Unavailable("query", problem, "narrow it, or ask when fewer others do") from None
            if isinstance(error, PySparkException) and _class_of(error) in _REFUSED:
                problem = "holds a regular expression or operand the engine refuses"
                raise InvalidRequest("where", problem, "see the cohort language's page") from None
            if isinstance(error, PySparkException) and error.getCondition() is not None:
                raise
            problem = f"Spark does not answer ({type(error).__name__})"
            raise Unavailable("warehouse", problem, "see that its master and workers run") from None
        finally:
            session.forget()


def _class_of(error: PySparkException) -> str:
    return (error.getCondition() or "").partition(".")[0]
