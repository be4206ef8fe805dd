"""Settings of the warehouse process (research zone)."""

from typing import Literal, Self

from pydantic import Field, HttpUrl, model_validator

from p2d.settings.exchange import Exchange, ForeignDatabase
from p2d.settings.file import FilePath, Strict
from p2d.settings.gateway import Pattern, Port


class Store(Strict):
    """`[warehouse]`: where it listens, its engine, who may load and who may ask.

    ``engine`` is ``duckdb``, one file (``database``) of this process, ``postgresql``, the server of
    ``[postgresql]``, or ``spark``, which answers over the copy of ``[spark]`` and takes no loads.
    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms; without it only P2D's
    own form (check character) is loaded. ``labels`` is a file of the site's own names of attributes.
    """

    host: str = "127.0.0.1"
    port: Port = 8130
    state_dir: FilePath
    engine: Literal["duckdb", "postgresql", "spark"] = "duckdb"
    database: FilePath | None = None
    loader_secret: FilePath
    operator_secret: FilePath
    researcher_secret: FilePath
    approved_secret: FilePath | None = None
    assertion_private_key: FilePath
    patient_form: Pattern | None = None
    labels: FilePath | None = None
    rows_per_preview: int = Field(10, ge=1, le=1000)


class Gateway(Strict):
    """`[gateway]`: the gateway that pages are proxied to, and the service password shared with it."""

    url: HttpUrl
    service_secret: FilePath
    timeout_seconds: float = Field(120.0, gt=0, le=600)


class PostgreSql(Strict):
    """`[postgresql]`: the server behind ``engine = "postgresql"``; each ``…_dsn`` is a file, a secret.

    A file holds one connection string of libpq. The process connects as loader and as reader; the owner's
    string is for ``p2d warehouse migrate`` alone and need not be readable by the process. Loads go one at a
    time, so that ``loader_connections`` are for receipts beside them.
    """

    loader_dsn: FilePath
    reader_dsn: FilePath
    owner_dsn: FilePath | None = None
    loader_connections: int = Field(4, ge=2, le=64)
    reader_connections: int = Field(8, ge=1, le=256)
    query_seconds: float = Field(30.0, gt=0, le=3600)
    load_seconds: float = Field(1800.0, gt=0, le=86_400)


class Spark(Strict):
    """`[spark]`: the cluster behind ``engine = "spark"``, and the copy it reads.

    ``directory`` is the folder of a Parquet export (``p2d warehouse export --form parquet``), at the same
    path on every worker. ``master`` is written as Spark does; ``host`` is the address that workers reach this
    process at. Memory in MiB. ``partitions`` are the parts that rows are divided into on their way,
    ``questions`` those asked at a time.
    """

    directory: FilePath
    master: str = Field("local[*]", pattern=r"^(local(\[(\*|[0-9]+)\])?|spark://\S+)$")
    host: str = "127.0.0.1"
    driver_memory_mib: int = Field(2048, ge=512, le=1_048_576)
    executor_memory_mib: int = Field(2048, ge=512, le=1_048_576)
    partitions: int = Field(8, ge=1, le=10_000)
    questions: int = Field(2, ge=1, le=64)
    query_seconds: float = Field(300.0, gt=0, le=86_400)


class Disclosure(Strict):
    """`[disclosure]`: what the researcher's secret shows; approved researchers and operators see everything.

    ``researcher`` is ``counts`` (numbers of few patients hidden, others with noise and rounded, no single
    patient) or ``patients`` (as approved ones). ``noise_secret`` is a file, made in ``state_dir`` where
    none is named; with another secret every number changes, and old and new ones together say more.
    """

    researcher: Literal["counts", "patients"] = "counts"
    least: int = Field(5, ge=2, le=100)
    questions_per_day: int = Field(500, ge=1)
    noise_secret: FilePath | None = None


class WarehouseSettings(Strict):
    """The warehouse's settings file."""

    warehouse: Store
    gateway: Gateway | None = None
    disclosure: Disclosure = Disclosure()
    exchange: Exchange | None = None
    exchange_database: tuple[ForeignDatabase, ...] = ()
    postgresql: PostgreSql | None = None
    spark: Spark | None = None

    @model_validator(mode="after")
    def _has_its_engine(self) -> Self:
        if self.warehouse.engine == "duckdb" and self.warehouse.database is None:
            raise ValueError("warehouse.database is missing: name the DuckDB file")
        if self.warehouse.engine == "postgresql" and self.postgresql is None:
            raise ValueError("[postgresql] is missing, but warehouse.engine is 'postgresql'")
        if self.warehouse.engine == "spark" and self.spark is None:
            raise ValueError("[spark] is missing, but warehouse.engine is 'spark'")
        if self.warehouse.engine != "duckdb" and self.warehouse.database is not None:
            raise ValueError(
                f"warehouse.database is the DuckDB file; remove it, engine is '{self.warehouse.engine}'"
            )
        return self
