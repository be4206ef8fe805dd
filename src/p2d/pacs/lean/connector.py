"""The archive over P2D's own DIMSE layer as a ``Pacs``: the cheapest way that was proved, else the next."""

import ipaddress
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Final, Self

from p2d.dimse.acceptor import Rules
from p2d.dimse.association import Association
from p2d.dimse.awaited import Limits
from p2d.dimse.identifiers import encoded
from p2d.dimse.listener import Door, StoreScp
from p2d.dimse.negotiation import Peer, Proposal
from p2d.dimse.services import FIND, VERIFICATION, storage_classes
from p2d.dimse.spool import memory_folder
from p2d.dimse.status import OutOfResources
from p2d.dimse.tls import Tls
from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.capped import Capped, Whole
from p2d.pacs.counted import Row
from p2d.pacs.days import checked_days, studies_of_day
from p2d.pacs.hierarchy import HIERARCHICAL, RELATIONAL, WORDS, Finder, Question, Way
from p2d.pacs.lean.pool import Pool
from p2d.pacs.lean.proposals import ECHO, QUERY
from p2d.pacs.lean.retrieve import GetRefused, Plan, Reach, Retrieve, passes, without_upper_keys
from p2d.pacs.lean.transport import Getting, Moving
from p2d.pacs.owners import owners
from p2d.pacs.port import Abilities, Query, RetrieveCounts
from p2d.pacs.proof import proved
from p2d.pacs.query import checked, checked_study
from p2d.pacs.tls import tls_of
from p2d.pacs.turnstile import about_to_ask
from p2d.settings.archive_profile import ArchiveProfile
from p2d.settings.gateway import Archive

_LOG: Final = logging.getLogger(__name__)
_PATIENCE: Final = 5  # times answer_seconds, for others to give an association back
_COUNT: Final = "00201209"  # NumberOfSeriesRelatedInstances


class LeanArchive:
    """One archive over C-ECHO, C-FIND and C-GET or C-MOVE; safe to share between threads.

    Close it, or use it as a context manager: associations are kept between calls.
    """

    def __init__(self, settings: Archive, profile: ArchiveProfile | None = None) -> None:
        self._settings = settings
        self._profile = profile
        self._tls = tls_of(settings)
        self._peer = Peer(
            settings.host,
            settings.port,
            settings.called_ae_title,
            settings.calling_ae_title,
            settings.connect_seconds,
            settings.answer_seconds,
            settings.pdu_bytes,
            request_seconds=settings.request_seconds,
        )
        most = settings.associations
        if profile is not None:
            most = min(most, profile.measured.associations)
        self._pool = Pool(self._opened, most, _PATIENCE * settings.answer_seconds)
        self._way = _way(settings, profile)
        self._whole = Whole(self._ask, None if profile is None else profile.find.most_rows)
        self._limits = Limits(
            object_bytes=settings.object_mib << 20,
            folder=None if settings.spool_dir is None else memory_folder(settings.spool_dir),
        )
        probed = () if profile is None else profile.retrieve.sop_classes  # of one patient: others have others
        self._getting = Getting(self._pool, tuple(dict.fromkeys((*probed, *storage_classes()))))
        self._moving = _moving(settings, self._tls, self._pool)
        self._gets = settings.retrieve == "get" and (profile is None or profile.retrieve.get)
        self._is_without_bulk_data = profile is not None and profile.retrieve.without_bulk_data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The archive's name in settings, ledger and logs."""
        return self._settings.name

    def abilities(self) -> Abilities:
        """Return what this archive can do; ``relational`` stays False until shown by profile or query."""
        return Abilities(
            relational=self._way is not None and self._way.is_relational,
            get=self._gets,
            move=self._moving is not None,
            lists=_reach(self._settings, self._profile).list_length > 1,
            counts=self._profile is not None and _COUNT not in self._profile.find.unsupported,
            headers_alone=True,
        )

    def close(self) -> None:
        """Release what is kept open towards the archive; safe to call twice."""
        self._pool.close()

    def stop(self) -> None:
        """Cancel and abort what runs, and take no new work until ``resume``; see ``Pacs``."""
        self._pool.stop()

    def resume(self) -> None:
        """Take work again; see ``Pacs``."""
        self._pool.resume()

    def echo(self) -> None:
        """Verify over a new association that the archive answers; see ``Pacs``."""
        with self._pool.lent(ECHO) as lease:
            lease.association.echo(lease.association.context(VERIFICATION))

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what matches, nothing before the last C-FIND has ended well; see ``Pacs``."""
        return self._found(checked(query))

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        yield from self._headers(query)

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients of one study or accession number; see ``Pacs``."""
        return owners(self._ask, checked_study(study_instance_uid, accession_number))

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients; see ``Pacs``."""
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        unsupported = frozenset[str]() if self._profile is None else self._profile.find.unsupported
        for day in days:
            yield from studies_of_day(self._whole, day, modality, self.name, unsupported)

    def _headers(self, query: Query) -> list[IdentifiedHeader]:
        if self._way is None and query.level in {Level.SERIES, Level.INSTANCE}:
            way = proved(self._whole, query.patient_id)
            self._pool.check_running()  # what a stop cut off proves nothing
            self._way = way
        way = self._way or HIERARCHICAL
        try:
            return Finder(self._whole, query, way).headers()
        except (ProtocolViolation, OutOfResources, Capped) as error:
            if not way.is_relational or self._settings.query == "relational":
                raise
            refusal: P2DError = error
        stepwise = replace(way, series=False, instance=False, answered=frozenset())
        headers = Finder(self._whole, query, stepwise).headers()
        if isinstance(refusal, ProtocolViolation):  # what it said of itself does not hold
            self._way = stepwise
        query.notes.append(f"a query by patient alone failed ({refusal.problem}); asked level by level")
        _LOG.warning("archive %s: %s", self.name, query.notes[-1])
        return headers

    def _ask(self, questions: Sequence[Question]) -> list[list[Row]]:
        """Answer over a kept or new association; a stale kept one is replaced once."""
        while True:
            lease = None
            about_to_ask(len(questions))
            try:
                with self._pool.lent(QUERY) as lease:
                    return _answers(lease.association, questions)
            except Unavailable:
                if lease is None or not lease.is_kept or lease.association.answered:
                    self._pool.check_running()
                    raise
            except ProtocolViolation:
                self._pool.check_running()  # a cancelled query ends with a status of its own
                raise

    def _opened(self, proposal: Proposal) -> Association:
        tls = None if self._tls is None else self._tls.client()
        return Association(replace(self._peer, tls=tls), proposal)

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* that arrives; what lists left out is asked for more narrowly.

        See ``Pacs``.
        """
        checked(Query(Level.INSTANCE, patient_id))
        run = Retrieve(patient_id, instances, counts or RetrieveCounts(), pixels, self._limits)
        return self._retrieved(run)

    def _retrieved(self, run: Retrieve) -> Iterator[IdentifiedInstance]:
        reach = _reach(self._settings, self._profile)
        try:
            if not run.pixels and self._is_without_bulk_data and self._gets:
                yield from self._without_bulk_data(run, reach)
            yield from passes(run, reach, self._transported)
        finally:
            run.settle()

    def _without_bulk_data(self, run: Retrieve, reach: Reach) -> Iterator[IdentifiedInstance]:
        run.is_bulk_left_out = True
        try:
            plan = without_upper_keys(reach.list_length)
            yield from self._getting(run, plan, without_bulk_data=True)
        except GetRefused:
            self._is_without_bulk_data = False
            run.note("The archive refused retrieval without bulk data; pixel data were dropped on arrival.")
        finally:
            run.is_bulk_left_out = False

    def _transported(self, run: Retrieve, plan: Plan) -> Iterator[IdentifiedInstance]:
        if self._gets:
            try:
                yield from self._getting(run, plan)
            except GetRefused:
                if self._moving is None:
                    raise
                self._gets = False
            else:
                return
        if self._moving is None:
            raise Misconfigured(
                "pacs.store_port",
                "is not set",
                "C-MOVE needs a port for our Storage SCP, known to the archive",
            )
        if self._settings.retrieve == "get":
            run.note("The archive does not do C-GET for us; objects came by C-MOVE to our Storage SCP.")
        yield from self._moving(run, plan)


def _answers(association: Association, questions: Sequence[Question]) -> list[list[Row]]:
    """Ask *questions* over *association*, those of the same model together."""
    found: list[list[Row]] = [[] for _ in questions]
    for is_patient_root in (False, True):
        places = [place for place, one in enumerate(questions) if one.patient_root is is_patient_root]
        if places:
            context = association.context(*(reversed(FIND) if is_patient_root else FIND))
            identifiers = [encoded(WORDS[questions[p].level], questions[p].identifier) for p in places]
            for place, rows in zip(places, association.finds(context, identifiers), strict=True):
                found[place] = rows
    return found


def _way(settings: Archive, profile: ArchiveProfile | None) -> Way | None:
    """Return how to ask by settings and profile; None where it has to be proved."""
    if settings.query == "hierarchical":
        return HIERARCHICAL if profile is None else Way(unsupported=profile.find.unsupported)
    if profile is None:
        return RELATIONAL if settings.query == "relational" else None
    find = profile.find
    is_forced = settings.query == "relational"
    return Way(
        series=is_forced or find.relational_series,
        instance=is_forced or find.relational_instance,
        patient_root=find.model == "patient-root",
        answered=find.keys,
        unsupported=find.unsupported,
    )


def _reach(settings: Archive, profile: ArchiveProfile | None) -> Reach:
    if profile is None:
        return Reach(settings.list_length)
    found = profile.retrieve
    return Reach(
        min(settings.list_length, found.list_length),
        found.series,
        found.study,
        patient=not found.lists_need_upper_keys and found.list_length > 1,
    )


def _moving(settings: Archive, tls: Tls | None, pool: Pool) -> Moving | None:
    if settings.store_port is None:
        return None
    return Moving(pool, partial(store_scp, settings, tls), settings.calling_ae_title, settings.answer_seconds)


def store_scp(settings: Archive, tls: Tls | None) -> StoreScp:
    """Return our Storage SCP for one archive; it is not open yet.

    Raises:
        Unavailable: the archive's host has no address.

    """
    rules = Rules(
        settings.calling_ae_title,
        settings.store_ae_titles or frozenset({settings.called_ae_title}),
        settings.pdu_bytes,
        idle_seconds=settings.answer_seconds,
        pdu_seconds=settings.answer_seconds,
    )
    networks = settings.store_from or _addresses(settings.host)
    return StoreScp(Door(settings.store_host, settings.store_port or 0, networks), rules, tls)


def _addresses(host: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return the addresses of *host* as networks of one.

    Raises:
        Unavailable: there is none, or nobody to ask.

    """
    try:
        found = {str(one[4][0]).partition("%")[0] for one in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # the latter: a host name that is none
        raise Unavailable("pacs.host", "has no address", "check host, or state store_from") from None
    return tuple(ipaddress.ip_network(one) for one in sorted(found))
