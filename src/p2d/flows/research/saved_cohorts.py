"""Save a query or a list of pseudonyms under a name, and put it where a query says ``{"cohort": name}``.

A name means the asker's own cohort, else one that somebody shares. A saved query is read with its owner's
eyes: the names in it are the owner's. Every change is audited, by a digest of the name: a name is free text.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from p2d.audit.log import AuditLog
from p2d.audit.refusals import marked
from p2d.model.errors import InvalidRequest, NotFound
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.as_json import query_json
from p2d.warehouse.query.json_fields import read_flag, read_object
from p2d.warehouse.query.nodes import (
    All,
    Any,
    Cohort,
    Event,
    Frame,
    Node,
    NoneOf,
    Patients,
    Query,
    Same,
    Some,
)
from p2d.warehouse.query.parse import check_cohort_name, parse
from p2d.warehouse.saved import CohortStore, SavedCohort

MOST_NODES: Final = 2000
"""How large a query may become with all cohorts put in."""
_DEEPEST: Final = 10
_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class SavedCohorts:
    """The use cases over one store; safe to share between threads."""

    store: CohortStore
    audit: AuditLog

    def save(self, source: object, user: str, *, may_list: bool = True) -> SavedCohort:
        """Keep ``{"name": ..., "query": {...}}`` or ``{"name": ..., "patients": [...]}`` for *user*.

        ``"shared": true`` lets others use it. What *user* called so before is replaced. Without *may_list* a
        list of patients is refused, in a query, too.

        Raises:
            InvalidRequest: malformed; or the query names a cohort that is not there, or holds itself.
            Unavailable: it cannot be kept or recorded.

        """
        fields = read_object(source, "body", ("name", "query", "patients", "shared"))
        name = check_cohort_name(fields.get("name"), "name")
        if ("query" in fields) == ("patients" in fields):
            raise InvalidRequest("body", "holds not exactly one of query and patients", "send one of them")
        made = _made(fields, name, user)
        if made.query is not None:
            _Reading(self.store, made).query(parse(json.loads(made.query)), user)
        if not may_list:
            refuse_lists(_node_of(made))
        subject = {"name": _digest(name), "shared": made.is_shared}
        with (
            marked(),
            self.audit.query(action="cohort.save", user=user, session="", subject=subject) as entry,
        ):
            self.store.save(made)
            entry.outcome(patients=len(made.patients))
        return made

    def listed(self, user: str) -> tuple[SavedCohort, ...]:
        """Return the cohorts of *user* and those others share, by name.

        Raises:
            Unavailable: they cannot be read.

        """
        return tuple(cohort for cohort in self.store.listed() if cohort.owner == user or cohort.is_shared)

    def delete(self, name: str, user: str) -> None:
        """Forget the cohort *name* of *user*; queries that were saved with it will say so.

        Raises:
            NotFound: *user* has none of that name.
            Unavailable: it cannot be recorded.

        """
        subject = {"name": _digest(name)}
        with (
            marked(),
            self.audit.query(action="cohort.delete", user=user, session="", subject=subject) as entry,
        ):
            if not self.store.delete(name, user):
                raise NotFound("name", "is no saved cohort of yours", "GET /cohorts/saved lists them")
            entry.outcome(deleted=1)

    def replaced(self, query: Query, user: str) -> Query:
        """Return *query* with every saved cohort of it in place of its name.

        Raises:
            InvalidRequest: a cohort is not there or not visible to *user*, holds itself, or makes the query
                too large.

        """
        return _Reading(self.store).query(query, user)


def refuse_lists(node: Node, path: str = "where") -> None:
    """Return if *node* names no patients.

    Raises:
        InvalidRequest: it does, and whoever may see no single patient may not ask about chosen ones either.

    """
    if isinstance(node, Patients):
        problem = "lists patients, which only those may who may see single patients"
        raise InvalidRequest(path, problem, "describe them by criteria")
    for inner in _inner(node):
        refuse_lists(inner, path)


class _Reading:
    """Puts cohorts in place of their names in one query; *instead* is a cohort that is about to be saved."""

    def __init__(self, store: CohortStore, instead: SavedCohort | None = None) -> None:
        self._store = store
        self._instead = instead
        self._count = 0

    def query(self, query: Query, user: str) -> Query:
        return replace(query, where=self._node(query.where, user, ()))

    def _node(self, node: Node, user: str, inside: tuple[tuple[str, str], ...]) -> Node:
        self._count += 1
        if self._count > MOST_NODES:
            problem = f"has more than {MOST_NODES} nodes with its saved cohorts put in"
            raise InvalidRequest("where", problem, "save fewer cohorts inside one another")
        match node:
            case Cohort(name):
                return self._cohort(name, user, inside)
            case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
                return replace(node, nodes=tuple(self._node(n, user, inside) for n in nodes))
            case Same(_, where):
                return replace(node, where=self._node(where, user, inside))
            case Event():
                return self._event(node, user, inside)
            case _:
                return node

    def _event(self, event: Event, user: str, inside: tuple[tuple[str, str], ...]) -> Event:
        relation = event.relation
        if relation is not None:
            relation = replace(relation, other=self._event(relation.other, user, inside))
        return replace(event, where=self._node(event.where, user, inside), relation=relation)

    def _cohort(self, name: str, user: str, inside: tuple[tuple[str, str], ...]) -> Node:
        saved = self._visible(name, user)
        own = (saved.owner, saved.name)
        if own in inside or len(inside) >= _DEEPEST:
            problem = f"holds itself, or others more than {_DEEPEST} deep"
            raise InvalidRequest("where.cohort", problem, "save it without that cohort")
        if saved.query is None:
            return _node_of(saved)
        node = self._node(_node_of(saved), saved.owner, (*inside, own))
        return Same(Frame.PATIENT, node)

    def _visible(self, name: str, user: str) -> SavedCohort:
        found = {cohort.owner: cohort for cohort in self._store.find(name)}
        if self._instead is not None and self._instead.name == name:
            found[self._instead.owner] = self._instead
        if user in found:
            return found[user]
        shared = [cohort for cohort in found.values() if cohort.is_shared]
        if len(shared) == 1:
            return shared[0]
        if shared:
            problem = "names a cohort that several others share"
            raise InvalidRequest("where.cohort", problem, "save one of them under a name of your own")
        problem = "names a cohort that you have not saved and nobody shares"
        raise InvalidRequest("where.cohort", problem, "GET /cohorts/saved lists those there are")


def _inner(node: Node) -> tuple[Node, ...]:
    match node:
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            return nodes
        case Same(_, where):
            return (where,)
        case Event(where=where, relation=relation):
            return (where,) if relation is None else (where, relation.other)
        case _:
            return ()


def _made(fields: Mapping[str, object], name: str, user: str) -> SavedCohort:
    is_shared = read_flag(fields, "shared", "body")
    now = datetime.now(tz=UTC)
    if "query" in fields:
        written = json.dumps(query_json(parse(fields["query"])), ensure_ascii=False, sort_keys=True)
        return SavedCohort(name, user, is_shared, written, now)
    listed = parse({"version": 2, "where": {"patients": fields["patients"]}}).where
    patients = tuple(sorted(listed.pseudonyms)) if isinstance(listed, Patients) else ()
    return SavedCohort(name, user, is_shared, None, now, len(patients), patients)


def _node_of(saved: SavedCohort) -> Node:
    if saved.query is not None:
        return parse(json.loads(saved.query)).where
    return Patients(frozenset(Pseudonym(patient) for patient in saved.patients))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
