"""The archive over DIMSE as a ``Pacs``: associations kept between queries, capabilities proved before use."""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Final, Self, TypeVar

from pynetdicom import build_context

from p2d.dimse.services import IMPLICIT, VERIFICATION
from p2d.dimse.status import refusal
from p2d.model.errors import Misconfigured, Unavailable
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.days import checked_days, studies_of_day
from p2d.pacs.hierarchy import HIERARCHICAL, RELATIONAL, Finder, Way
from p2d.pacs.lists import LIST_LENGTH, Request, by_series
from p2d.pacs.owners import owners
from p2d.pacs.port import Abilities, Query, RetrieveCounts
from p2d.pacs.proof import proved
from p2d.pacs.pynetdicom.association import Association
from p2d.pacs.pynetdicom.collection import Collection
from p2d.pacs.pynetdicom.contexts import get_contexts, move_contexts, query_contexts
from p2d.pacs.pynetdicom.find import asking
from p2d.pacs.pynetdicom.messages import ECHO_RESPONSE
from p2d.pacs.pynetdicom.requests import COMMAND, ECHO_REQUEST
from p2d.pacs.pynetdicom.retrieve import Grace, by_classes, get, move
from p2d.pacs.pynetdicom.store_scp import StoreScp
from p2d.pacs.query import checked, checked_study
from p2d.settings.gateway import Archive

T = TypeVar("T")
_KEPT: Final = 2


class DimseArchive:
    """One archive over C-ECHO, C-FIND and C-GET or C-MOVE; safe to share between threads.

    Close it (or use it as a context manager): kept associations hold threads that outlive the caller.
    """

    def __init__(self, settings: Archive) -> None:
        if settings.tls is not None:  # its Storage SCP does handshakes on the accept path
            raise Misconfigured("pacs.tls", "is not done by pynetdicom here", 'take connector = "dimse"')
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: list[Association] = []
        self._is_closed = False
        self._is_stopped = False
        self._live: weakref.WeakSet[Association] = weakref.WeakSet()
        self._way: Way | None = {"relational": RELATIONAL, "hierarchical": HIERARCHICAL}.get(settings.query)
        self._store_scp = StoreScp(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The archive's name in settings, ledger and logs."""
        return self._settings.name

    def abilities(self) -> Abilities:
        """Return what this archive can do; ``relational`` stays False until a query has proved it."""
        return Abilities(
            relational=self._way is not None and self._way.is_relational,
            get=self._settings.retrieve == "get",
            move=self._settings.retrieve == "move",
        )

    def close(self) -> None:
        """Release all kept associations; safe to call twice."""
        with self._lock:
            self._is_closed = True
            kept, self._kept = self._kept, []
        for association in kept:
            association.release()

    def stop(self) -> None:
        """Abort every association and take no new work until ``resume``; see ``Pacs``."""
        with self._lock:
            self._is_stopped = True
            live, self._kept = list(self._live), []
        for association in live:
            association.drop()

    def resume(self) -> None:
        """Take work again; see ``Pacs``."""
        with self._lock:
            self._is_stopped = False

    def _opened(self, contexts: Sequence[Any], roles: Sequence[Any] = ()) -> Association:
        self._check_running()
        association = Association(self._settings, contexts, roles)
        with self._lock:
            self._live.add(association)
        try:
            self._check_running()  # a stop may have come while it was negotiated
        except BaseException:
            association.drop()
            raise
        return association

    def _check_running(self) -> None:
        if self._is_stopped:
            raise Unavailable("pacs", "queries to the archive are stopped", "resume them, then try again")

    def echo(self) -> None:
        """Verify over a new association that the archive answers; see ``Pacs``."""
        association = self._opened([build_context(VERIFICATION, IMPLICIT)])
        try:
            context = association.context(VERIFICATION)
            message_id = association.send({COMMAND: ECHO_REQUEST}, context)
            status = association.response(ECHO_RESPONSE, message_id, association.receive()).status
        except BaseException:
            association.drop()
            raise
        association.release()
        if status != 0:
            raise refusal(status, "C-ECHO")

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches, nothing before the last C-FIND has ended well; see ``Pacs``."""
        return self._found(checked(query))

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        yield from self._over_association(lambda association: self._headers(association, query))

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients of one study or accession number; see ``Pacs``."""
        keys = checked_study(study_instance_uid, accession_number)
        return self._over_association(lambda association: owners(asking(association), keys))

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients; see ``Pacs``."""
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        for day in days:
            yield from self._over_association(
                lambda association, day=day: list(  # type: ignore[misc]  # the default binds the loop's day
                    studies_of_day(asking(association), day, modality, self.name)
                )
            )

    def _headers(self, association: Association, query: Query) -> list[IdentifiedHeader]:
        ask = asking(association)
        if self._way is None and query.level in {Level.SERIES, Level.INSTANCE}:
            way = proved(ask, query.patient_id)
            self._check_running()  # what a stop cut off proves nothing
            self._way = way
        return Finder(ask, query, self._way or HIERARCHICAL).headers()

    def _over_association(self, work: Callable[[Association], T]) -> T:
        """Return what *work* returns over a kept or new association; a stale kept one is replaced once."""
        association, is_kept = self._taken()
        try:
            result = work(association)
        except Unavailable:
            association.drop()
            if not is_kept or association.answered:
                raise
        except BaseException:
            association.drop()
            raise
        else:
            self._give_back(association)
            return result
        return self._afresh(work)

    def _afresh(self, work: Callable[[Association], T]) -> T:
        association = self._opened(query_contexts())
        try:
            result = work(association)
        except BaseException:
            association.drop()
            raise
        self._give_back(association)
        return result

    def _taken(self) -> tuple[Association, bool]:
        stale: list[Association] = []
        found = None
        with self._lock:
            while self._kept and found is None:
                association = self._kept.pop()
                if association.is_ready:
                    found = association
                else:
                    stale.append(association)
        for association in stale:
            association.drop()
        return (found, True) if found else (self._opened(query_contexts()), False)

    def _give_back(self, association: Association) -> None:
        with self._lock:
            if not self._is_closed and len(self._kept) < _KEPT and association.is_ready:
                self._kept.append(association)
                return
        association.release()

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* that arrives; what a list left out is asked for once more by itself.

        See ``Pacs``.
        """
        del pixels  # they come with the data set
        checked(Query(Level.INSTANCE, patient_id))
        return self._retrieved(patient_id, instances, counts or RetrieveCounts())

    def _retrieved(
        self, patient_id: PatientId, instances: Sequence[IdentifiedHeader], counts: RetrieveCounts
    ) -> Iterator[IdentifiedInstance]:
        collection, grace = Collection(instances, counts), Grace()
        try:
            for length in (LIST_LENGTH, 1):
                missing = collection.missing
                if not missing:
                    return
                if self._settings.retrieve == "move":
                    yield from self._moved(by_series(patient_id, missing, length), collection, grace)
                    continue
                for classes, some in by_classes(missing):
                    contexts, roles = get_contexts(classes)
                    association = self._opened(contexts, roles)
                    keys = by_series(patient_id, some, length)
                    yield from self._got(association, keys, collection, grace)
        finally:
            collection.conclude()

    def _got(
        self, association: Association, keys: Sequence[Request], collection: Collection, grace: Grace
    ) -> Iterator[IdentifiedInstance]:
        try:
            for one in keys:
                yield from get(association, one.keys, collection, grace)
        except BaseException:
            association.drop()
            raise
        association.release()

    def _moved(
        self, keys: Sequence[Request], collection: Collection, grace: Grace
    ) -> Iterator[IdentifiedInstance]:
        destination, idle_seconds = self._settings.calling_ae_title, self._settings.answer_seconds
        with self._store_scp.expecting(collection) as delivery:
            association = self._opened(move_contexts())
            try:
                for one in keys:
                    yield from move(association, one.keys, delivery, destination, idle_seconds, grace)
            except BaseException:
                association.drop()
                raise
            association.release()
