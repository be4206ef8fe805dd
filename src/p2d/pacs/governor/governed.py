"""An archive behind its governor: the same ``Pacs``, which asks before every operation and tells its cost."""

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Final, Self

from p2d.model.errors import P2DError, ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.days import checked_days
from p2d.pacs.governor.book import Portion, portion_of
from p2d.pacs.governor.operation import UnderLease
from p2d.pacs.governor.port import (
    Amounts,
    Ask,
    Ending,
    Governor,
    Latency,
    Load,
    NotNow,
    Operation,
    Resource,
    Wait,
    Why,
    WorkClass,
)
from p2d.pacs.governor.watch import Watch
from p2d.pacs.port import Abilities, Pacs, Query, RetrieveCounts
from p2d.pacs.query import checked, checked_study
from p2d.pacs.turnstile import held_up_by
from p2d.settings.governor import Governing

PATIENCE: Final[dict[WorkClass, float | None]] = {
    WorkClass.INTERACTIVE: 30.0,
    WorkClass.EXPORT: 600.0,
    WorkClass.BULK: None,
}
"""Longest wait of each class, in seconds; None waits as long as it takes."""

_AHEAD: Final = {WorkClass.INTERACTIVE: 0, WorkClass.EXPORT: 3, WorkClass.BULK: 7}
_KEPT_SECONDS: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_PROBLEMS: Final = {
    Why.WINDOW: ("may not be asked at this hour", "wait, or change pacs.governor.windows"),
    Why.BREAKER: ("failed repeatedly and is left alone", "it is tried again by itself; check the archive"),
    Why.STOPPED: ("is stopped", "p2d archive resume, then try again"),
}


def _never() -> bool:
    return False


@dataclass(slots=True)
class _Process:
    """What all views of one archive in this process share."""

    pacs: Pacs
    governor: Governor
    settings: Governing
    watch: Watch
    stopped: Callable[[], str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[WorkClass, list[UnderLease]] = field(default_factory=lambda: {one: [] for one in WorkClass})
    usual: dict[Level, float] = field(default_factory=lambda: dict.fromkeys(Level, 1.0))
    tickets: Iterator[int] = field(default_factory=itertools.count)
    prefix: str = field(default_factory=lambda: os.urandom(6).hex())

    def give_back_idle(self, seconds: float = _KEPT_SECONDS) -> None:
        """Give back leases that were kept for a next query and not used for *seconds*."""
        with self.lock:
            idle = []
            for kept in self.kept.values():
                idle += [one for one in kept if one.clock() - one.reported >= seconds]
                kept[:] = [one for one in kept if one not in idle]
        for one in idle:
            one.end(Ending.DONE)


class GovernedPacs:
    """*pacs* under *governor* for work of one class; ``for_class`` gives views that share the connector.

    ``stopped`` looks at the kill switch where that is cheap.
    Besides what the port says, every operation raises NotNow when the archive is stopped and, for work that
    does not wait, outside its window or while the breaker is open; Unavailable when the governor cannot be
    reached or patience ends.
    """

    def __init__(
        self,
        pacs: Pacs,
        governor: Governor,
        settings: Governing,
        work_class: WorkClass,
        *,
        stopped: Callable[[], str] = lambda: "",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        watch = Watch(pacs, governor, stopped)
        self._process = _Process(pacs, governor, settings, watch, stopped)
        watch.every_turn(self._process.give_back_idle)
        self._pause = pause
        self._set(work_class, PATIENCE[work_class], _never)

    def _set(self, work_class: WorkClass, patience: float | None, give_up: Callable[[], bool]) -> None:
        self._class, self._patience, self._give_up = work_class, patience, give_up
        self._portion = portion_of(self._process.settings, work_class)

    def for_class(self, work_class: WorkClass, *, give_up: Callable[[], bool] = _never) -> Self:
        """Return the same archive for work of *work_class*; waiting ends when *give_up* says so."""
        view = object.__new__(type(self))
        view._process, view._pause = self._process, self._pause
        view._set(work_class, PATIENCE[work_class], give_up)
        return view

    @property
    def name(self) -> str:
        """The archive's name in settings, ledger and logs."""
        return self._process.pacs.name

    @property
    def settings(self) -> Governing:
        """The limits and windows that are kept."""
        return self._process.settings

    @property
    def work_class(self) -> WorkClass:
        """The class of work that asks through this view."""
        return self._class

    @property
    def governor(self) -> Governor:
        """The archive's governor: its load, stop and resume."""
        return self._process.governor

    def load(self) -> Load:
        """Return what P2D asks of the archive now."""
        return self._process.governor.load()

    def abilities(self) -> Abilities:
        """Return what this archive can do; see ``Pacs``."""
        return self._process.pacs.abilities()

    def close(self) -> None:
        """Give back leases, end the watch, close connector and governor; see ``Pacs``."""
        self._process.watch.close()
        with suppress(Unavailable):  # nobody to give them back to
            self._process.give_back_idle(0.0)
        self._process.pacs.close()
        self._process.governor.close()

    def watch(self, on_change: Callable[[str, str], None]) -> None:
        """Look at the kill switch from now on, also while nothing is asked; *on_change* is called with the
        archive's name and what stops it, or nothing when it was resumed.
        """  # noqa: D205 - one sentence
        self._process.watch.begin(lambda cause: on_change(self.name, cause))

    def stop(self) -> None:
        """Stop this process's work on the archive; for all processes there is the governor's ``stop``."""
        self._process.watch.hold()

    def resume(self) -> None:
        """Take work again after ``stop``."""
        self._process.watch.release()

    def echo(self) -> None:
        """Verify that the archive answers; one query. See ``Pacs``."""
        with self._under_lease(Operation.ECHO, {Resource.QUERIES: 1}) as under:
            under.use(Resource.QUERIES, 1)
            self._process.pacs.echo()

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches *query*; see ``Pacs``."""
        return self._found(checked(query))  # what may not be asked is refused before the governor is asked

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        with self._asking(self._process.usual[query.level]) as under:
            headers = list(self._process.pacs.find(query))
            if not under.queries:  # a connector that does not tell
                under.ask(1 + self._further_queries(query, headers))
            self._process.usual[query.level] += (under.queries - self._process.usual[query.level]) / 10
        yield from headers

    @contextmanager
    def _asking(self, queries: float) -> Iterator[UnderLease]:
        """Run the block, which asks about *queries* of the archive, each held up as the rate demands."""
        need = min(max(1, math.ceil(queries)), self._portion.queries)
        with self._under_lease(Operation.FIND, {Resource.QUERIES: need}, keep=True) as under:
            under.queries, under.waited = 0, 0.0
            begun = under.clock()
            with held_up_by(partial(self._ask, under)):
                yield under
            seconds = under.clock() - begun - under.waited
            under.took(Latency.ANSWER, max(0.0, seconds) / max(1, under.queries))

    def _ask(self, under: UnderLease, queries: int) -> None:
        self._check()
        under.ask(queries)

    def _further_queries(self, query: Query, headers: Sequence[IdentifiedHeader]) -> int:
        """Return how many queries were needed besides the first, asking level by level."""
        if query.level not in {Level.SERIES, Level.INSTANCE} or self._process.pacs.abilities().relational:
            return 0
        below = 0 if query.study_instance_uid else len({one.study_instance_uid for one in headers})
        if query.level is Level.INSTANCE and not query.series_instance_uid:
            below += len({one.series_instance_uid for one in headers})
        return below

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients of one study or accession number; see ``Pacs``."""
        checked_study(study_instance_uid, accession_number)
        with self._asking(1) as under:
            found = self._process.pacs.owners(
                study_instance_uid=study_instance_uid, accession_number=accession_number
            )
            if not under.queries:
                under.ask(1)
        return found

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients; one query a day. See ``Pacs``."""
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        for day in days:
            with self._asking(1) as under:
                headers = list(self._process.pacs.studies(day, day, modality))
                if not under.queries:
                    under.ask(1)
            yield from headers

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* that arrives, in requests short enough for others to come between.

        See ``Pacs``.
        """
        checked(Query(Level.INSTANCE, patient_id))
        counts = counts if counts is not None else RetrieveCounts()

        def asked(some: Sequence[IdentifiedHeader]) -> Iterator[IdentifiedInstance]:
            return self._process.pacs.retrieve(patient_id, some, counts, pixels=pixels)

        return self._retrieved(portions(instances, self._portion), asked, counts)

    def _retrieved(
        self,
        requests: Sequence[Sequence[IdentifiedHeader]],
        asked: Callable[[Sequence[IdentifiedHeader]], Iterator[IdentifiedInstance]],
        counts: RetrieveCounts,
    ) -> Iterator[IdentifiedInstance]:
        begun: set[str] = set()
        for headers in requests:
            studies = {one.study_instance_uid for one in headers} - begun
            needs: dict[Resource, float] = {Resource.IMAGES: len(headers), Resource.STUDIES: len(studies)}
            continues = headers[0].study_instance_uid in begun
            begun |= studies
            with self._under_lease(Operation.RETRIEVE, needs, continues=continues) as under:
                under.use(Resource.STUDIES, len(studies))
                arriving = asked(headers)
                try:
                    yield from self._arrived(arriving, under, counts)
                finally:
                    _closed(arriving)

    def _arrived(
        self, arriving: Iterator[IdentifiedInstance], under: UnderLease, counts: RetrieveCounts
    ) -> Iterator[IdentifiedInstance]:
        before, told, asked = counts.octets, 0, under.clock()
        for instance in arriving:
            seconds = under.clock() - asked
            size = max(counts.octets - before - told, len(instance.content) - instance.offset)
            told += size
            self._check()
            under.arrived(size, seconds)
            yield instance
            asked = under.clock()
        under.use(Resource.BYTES, max(0, counts.octets - before - told))  # refused ones and duplicates

    @contextmanager
    def _under_lease(
        self, operation: Operation, needs: Amounts, *, continues: bool = False, keep: bool = False
    ) -> Iterator[UnderLease]:
        """Run the block under a lease, and tell the governor how it ended."""
        under = self._kept(needs.get(Resource.QUERIES, 0.0)) if keep else None
        if under is None:
            under = self._admitted(operation, needs, continues=continues)
        try:
            if under.lease.is_probe and operation is not Operation.ECHO:
                self._process.pacs.echo()
            yield under
        except NotNow:
            self._end(under, Ending.GIVEN_UP)
            raise
        except (Unavailable, ProtocolViolation) as error:
            is_failure = isinstance(error, Unavailable) and error.field != "governor"
            is_failure = is_failure and not self._process.watch.is_stopped
            self._end(under, Ending.FAILED if is_failure else Ending.GIVEN_UP)
            raise
        except BaseException:  # the caller's, or a caller that takes no more
            self._end(under, Ending.GIVEN_UP)
            raise
        self._done(under, keep=keep)

    def _done(self, under: UnderLease, *, keep: bool) -> None:
        if keep and not under.lease.is_probe and under.left.get(Resource.QUERIES, 0.0) >= 1:
            with self._process.lock:
                under.reported = under.clock()
                self._process.kept[self._class].append(under)
            return
        under.end(Ending.DONE)

    def _end(self, under: UnderLease, ending: Ending) -> None:
        with suppress(P2DError):  # the first error counts; a lease that is not given back expires
            under.end(ending)

    def _kept(self, queries: float) -> UnderLease | None:
        """Return a lease of an earlier query with *queries* left, if there is one."""
        self._check()
        with self._process.lock:
            kept = self._process.kept[self._class]
            under = kept.pop() if kept else None
        if under is not None and under.left[Resource.QUERIES] < queries:
            under.end(Ending.DONE)
            return None
        return under

    def _admitted(self, operation: Operation, needs: Amounts, *, continues: bool) -> UnderLease:
        process = self._process
        process.watch.begin()
        ticket = f"{process.prefix}-{next(process.tickets)}"
        ahead = _AHEAD[self._class] if operation is Operation.FIND else 0
        ask = Ask(self._class, operation, ticket, needs, ahead, continues)
        waited = 0.0
        while True:
            self._check()
            answer = process.governor.ask(ask)
            if not isinstance(answer, Wait):
                return UnderLease(process.governor, answer, self._pausing)
            self._bear(answer, waited)
            seconds = min(answer.seconds, _LONGEST_PAUSE)
            self._pause(seconds)
            waited += seconds

    def _bear(self, wait: Wait, waited: float) -> None:
        """Raise unless *wait* is to be waited for.

        Raises:
            NotNow: stopped or given up; or this work does not wait for windows and breakers.
            Unavailable: patience has ended.

        """
        if wait.why is Why.STOPPED or (wait.why in _PROBLEMS and self._patience is not None):
            raise NotNow(self.name, wait.why, *_PROBLEMS[wait.why])
        if self._give_up():
            raise NotNow(self.name, wait.why, "was waited for until told to give up")
        if self._patience is not None and waited > self._patience:
            raise Unavailable("governor", f"archive {self.name} is busy: {wait.why}", "try again later")

    def _pausing(self, seconds: float) -> None:
        self._pause(seconds)
        self._check()

    def _check(self) -> None:
        if self._process.watch.is_stopped or self._process.stopped():
            raise NotNow(self.name, Why.STOPPED, *_PROBLEMS[Why.STOPPED])


def portions(instances: Sequence[IdentifiedHeader], most: Portion) -> list[list[IdentifiedHeader]]:
    """Return *instances*, each once and in order, in lists of at most *most* images and studies."""
    lists: list[list[IdentifiedHeader]] = []
    studies: set[str] = set()
    for one in {one.sop_instance_uid: one for one in instances}.values():
        studies.add(one.study_instance_uid)
        if not lists or len(lists[-1]) >= most.images or len(studies) > most.studies:
            lists.append([])
            studies = {one.study_instance_uid}
        lists[-1].append(one)
    return lists


def _closed(arriving: Iterator[IdentifiedInstance]) -> None:
    """End what still runs towards the archive before the lease is given back."""
    if isinstance(arriving, Generator):
        arriving.close()
