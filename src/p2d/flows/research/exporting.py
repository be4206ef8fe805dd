"""Exports as jobs of the warehouse process: one at a time, in the background, audited from order to end.

An export writes below the configured folder or into a configured database and nowhere else. One that is
stopped or killed shows nothing; it is ordered again.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from p2d.audit.log import AuditLog, Entry
from p2d.flows.research.cohort import Asker
from p2d.model.errors import InvalidRequest, Misconfigured, NotFound, P2DError, Unavailable
from p2d.settings.exchange import Exchange, ForeignDatabase
from p2d.settings.file import read_foreign_secret
from p2d.warehouse.exchange.dictionary import layouts
from p2d.warehouse.exchange.dump import write_dictionary, write_dump
from p2d.warehouse.exchange.eav import Eav
from p2d.warehouse.exchange.fhir.form import Fhir
from p2d.warehouse.exchange.form import Form, Progress, run
from p2d.warehouse.exchange.i2b2.form import I2b2
from p2d.warehouse.exchange.omop.form import Omop, read_concepts
from p2d.warehouse.exchange.publication import publication
from p2d.warehouse.exchange.sinks import FILES, Sink
from p2d.warehouse.exchange.source import Source
from p2d.warehouse.exchange.workbench import workbench

FORMS: Final = ("eav", "omop", "i2b2", "fhir", "parquet", "csv")
IDS: Final = "ids.duckdb"
_NAME: Final = "abcdefghijklmnopqrstuvwxyz0123456789-_"
_LONGEST: Final = 32
_KEPT: Final = 100
_REMEDY: Final = "add [exchange] with directory to warehouse.toml"
Snapshot = Callable[[], AbstractContextManager[Source]]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: *form* as files in the folder *to*, or into the *database* of that name.

    ``files`` is csv or parquet, for the forms that are tables; ``instances`` lists every image in FHIR;
    ``parts`` divides a Parquet dump by patients.
    """

    form: str
    to: str = ""
    database: str = ""
    files: str = "csv"
    instances: bool = False
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it stands; ``rows`` counts what was written, by table once it is done."""

    export: str
    order: Order
    state: Literal["running", "done", "failed"]
    rows: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)
    shown: str = ""
    error: P2DError | None = None


class ExportDesk:
    """Takes orders and tells how they stand; safe to share between threads.

    *snapshot* opens one state of the warehouse, *schema_version* is that of its tables.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        audit: AuditLog,
        exchange: Exchange | None,
        databases: tuple[ForeignDatabase, ...] = (),
        schema_version: int = 0,
    ) -> None:
        self._snapshot = snapshot
        self._audit = audit
        self._exchange = exchange
        self._databases = {one.name: one for one in databases}
        self._schema_version = schema_version
        self._lock = threading.Lock()
        self._exports: dict[str, Export] = {}
        self._thread: threading.Thread | None = None
        self._is_stopped = threading.Event()

    def start(self, order: Order, asker: Asker) -> Export:
        """Begin the export that *order* asks for and return it.

        Raises:
            InvalidRequest: an unknown form, name or database, or both or neither of folder and database.
            Misconfigured: the warehouse has no folder for exports.
            Unavailable: another export runs, or the audit cannot be written.

        """
        exchange = self._checked(order)
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise Unavailable("export", "another one runs", "wait for its end: GET /exports/ID")
            subject = {"role": asker.role, "form": order.form, "to": order.to or order.database}
            entry = self._audit.begin(action="export", user=asker.user, session="", subject=subject)
            made = Export(secrets.token_hex(8), order, "running")
            self._keep(made)
            self._thread = threading.Thread(
                target=self._work, args=(made, exchange, entry), name="export", daemon=True
            )
            self._thread.start()
        return made

    def state(self, export: str) -> Export:
        """Return how *export* stands.

        Raises:
            NotFound: this process knows no such export.

        """
        with self._lock:
            if export not in self._exports:
                raise NotFound("export", "is not known to this process", "order it again")
            return self._exports[export]

    def close(self) -> None:
        """Stop what runs at the end of its range of patients, and wait for it."""
        self._is_stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _checked(self, order: Order) -> Exchange:
        if self._exchange is None:
            raise Misconfigured("exchange", "is not set up", _REMEDY)
        if order.form not in FORMS:
            raise InvalidRequest("form", "is not known", f"use {', '.join(FORMS)}")
        if bool(order.to) == bool(order.database):
            raise InvalidRequest("to", "wants a folder's name or a database's, not both", "send one of them")
        if order.to and (len(order.to) > _LONGEST or not set(order.to) <= set(_NAME)):
            raise InvalidRequest("to", "is not a folder's name: a-z 0-9 - _", "send a name, not a path")
        if order.files not in {"csv", "parquet"}:
            raise InvalidRequest("files", "is neither csv nor parquet", "send one of them")
        if order.parts > 1 and order.form != "parquet":
            raise InvalidRequest("parts", "divide a Parquet dump alone", "send form parquet, or no parts")
        found = self._databases.get(order.database)
        if order.database and (found is None or found.form != order.form):
            names = [one.name for one in self._databases.values() if one.form == order.form]
            remedy = f"of this form: {', '.join(names) or 'none'} (exchange_database in warehouse.toml)"
            raise InvalidRequest("database", "is not set up for this form", remedy)
        return self._exchange

    def _work(self, export: Export, exchange: Exchange, entry: Entry) -> None:
        error: P2DError | None = None
        try:
            tables, shown = self._written(export, exchange)
            entry.outcome(rows=sum(tables.values()))
        except P2DError as found:
            error = found
        except Exception as fault:  # noqa: BLE001 - a job's end is always told, and a text could show values
            error = Unavailable("export", f"a fault in P2D ({type(fault).__name__})", "report it")
        try:
            entry.close(error)
        except P2DError as found:
            error = error or found
        with self._lock:
            if error is None:
                done = replace(export, state="done", rows=sum(tables.values()), tables=tables, shown=shown)
            else:
                done = replace(self._exports[export.export], state="failed", error=error)
            self._keep(done)

    def _written(self, export: Export, exchange: Exchange) -> tuple[Mapping[str, int], str]:
        """Write everything and return the rows of each table and where they show."""
        order = export.order

        def show(progress: Progress) -> None:
            if self._is_stopped.is_set():
                raise Unavailable("export", "was stopped with the process", "order it again")
            with self._lock:
                self._keep(replace(export, rows=progress.rows))

        with ExitStack() as stack:
            source = stack.enter_context(self._snapshot())
            if order.database:
                bench = stack.enter_context(workbench(exchange.directory / IDS))
                with _foreign(self._databases[order.database], exchange, order) as (form, sink):
                    return run(form, source, bench, sink, show, exchange.rows_at_once), order.database
            name = "canonical" if order.form in {"parquet", "csv"} else order.form
            version = source.data_version
            folder = exchange.directory / order.to
            made = stack.enter_context(
                publication(folder, name, version, datetime.now(UTC), exchange.versions)
            )
            facts = {"data_version": version, "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
            if name == "canonical":
                tables = write_dump(source, made, order.form, show, order.parts)
                return tables, made.publish({**facts, "schema_version": self._schema_version}).name
            form = _form(order, exchange)
            kind = "ndjson" if order.form == "fhir" else order.files
            sink = FILES[kind](made)
            bench = stack.enter_context(workbench(exchange.directory / IDS))
            tables = run(form, source, bench, sink, show, exchange.rows_at_once)
            write_dictionary(
                made,
                [
                    {**layout.described(), "path": f"{table}.{kind}", "rows": tables[table]}
                    for table, layout in layouts(form.name).items()
                ],
            )
            return tables, made.publish(facts).name

    def _keep(self, export: Export) -> None:
        self._exports[export.export] = export
        while len(self._exports) > _KEPT:
            del self._exports[next(iter(self._exports))]


def _form(order: Order, exchange: Exchange, *, first_attribute: int = 1, numbers: bool = False) -> Form:
    address = str(exchange.dicomweb_url).rstrip("/") if exchange.dicomweb_url else None
    match order.form:
        case "eav":
            return Eav(first_attribute, numbers=numbers)
        case "omop":
            return Omop(read_concepts(exchange.concepts) if exchange.concepts else (), address)
        case "i2b2":
            return I2b2()
        case _:
            return Fhir(instances=order.instances, dicomweb=address)


@contextmanager
def _foreign(database: ForeignDatabase, exchange: Exchange, order: Order) -> Iterator[tuple[Form, Sink]]:
    """Yield the form and the sink of a foreign database."""
    try:
        from p2d.warehouse.exchange.postgresql import sinks  # noqa: PLC0415 - psycopg comes with an extra
    except ImportError:
        raise Misconfigured("exchange_database", "needs psycopg", "pip install 'p2d[postgresql]'") from None
    dsn = read_foreign_secret(Path(database.dsn), f"exchange_database.{database.name}.dsn")
    with sinks.connected(dsn.get_secret_value()) as connection:
        if database.form == "eav":
            facts = sinks.ForeignFacts(
                connection,
                database.sql_schema,
                database.table,
                database.first_attribute,
                database.last_attribute,
            )
            first, numbers = database.first_attribute, facts.numbers
            yield _form(order, exchange, first_attribute=first, numbers=numbers), facts
        else:
            yield (
                _form(order, exchange),
                sinks.ForeignTables(connection, database.form, database.sql_schema),
            )
