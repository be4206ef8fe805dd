"""A query as SQL sets of surrogate keys. SQL text comes from this package, values go in as parameters.

Every node becomes a SELECT of one column ``k``: the keys of its frame it holds for. Inside a frame the
criteria that a row of its table decides are conditions on that row, everything else is a set that its key has
to be in, or must not. A frame inside another is led there along ``relations``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Catalogue
from p2d.warehouse.query.counting import counted
from p2d.warehouse.query.criteria import Criteria
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.events import Things, event_rows, things_of
from p2d.warehouse.query.holders import ROW
from p2d.warehouse.query.nodes import (
    All,
    Any,
    Cohort,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Patients,
    Same,
    Some,
    Value,
)
from p2d.warehouse.query.relations import (
    TABLES,
    carries,
    chosen,
    column,
    is_among,
    is_in,
    key_of,
    keys_from,
    mapped,
    united,
)
from p2d.warehouse.query.texts import Terms

_IN_STUDIES: Final = frozenset({Frame.SERIES, Frame.INSTANCE})


@dataclass(slots=True)
class _Together:
    """What has to hold at once: conditions on a row *v* of the table, and sets that its key is in or not."""

    local: list[exp.Expr] = field(default_factory=list)
    within: list[exp.Select] = field(default_factory=list)
    without: list[exp.Select] = field(default_factory=list)

    def conditions(self, key: exp.Column, table: str = "") -> list[exp.Expr]:
        """Return everything as conditions on rows with *key*, those of *table* where it is its own."""
        return [
            *self.local,
            *(is_among(key.copy(), keys, table) for keys in self.within),
            *(exp.Not(this=is_in(key.copy(), keys)) for keys in self.without),
        ]


class Compiler:
    """Turns placed nodes into SQL and collects the parameters on the way.

    *only* restricts everything that is looked at to some patients: it is the condition on a patient key.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        dialect: Dialect,
        terms: Terms | None = None,
        only: Callable[[exp.Expr], exp.Expr] | None = None,
    ) -> None:
        self.parameters: dict[str, Value] = {}
        self.dialect = dialect
        self.only = only
        self.criteria = Criteria(catalogue, dialect, self.bind, terms, only)

    def bind(self, value: Value) -> exp.Expr:
        """Return a parameter that stands for *value*."""
        name = f"p{len(self.parameters) + 1}"
        self.parameters[name] = value
        return exp.Parameter(this=exp.Var(this=name))

    def keys(self, node: Node, frame: Frame) -> exp.Select:
        """Return the keys ``k`` of *frame* that *node* holds for; *node* comes from ``frames.place``.

        A key may come more than once.

        Raises:
            InvalidRequest: an operator or operand that does not fit its attribute.

        """
        match node:
            case Criterion():
                return self.criteria.keys(node, frame)
            case Same():
                return self._same(node, frame)
            case Event():
                rows = event_rows(self, node, frame, with_things=False).subquery("w", copy=False)
                return exp.select(exp.column("k", table="w")).from_(rows, copy=False)
            case Patients(pseudonyms):
                listed = "\n".join(sorted(str(pseudonym) for pseudonym in pseudonyms))
                place = column("patient", ROW)
                is_listed = self.dialect.one_of(place, listed, self.bind)
                return mapped(keys_from("patient", Frame.PATIENT, is_listed), Frame.PATIENT, frame)
            case Cohort():
                raise TypeError("a saved cohort is replaced before it is compiled")
            case _:
                return self.selected(node, frame, frame)

    def selected(self, node: Node, frame: Frame, target: Frame) -> exp.Select:
        """Return the keys of *target* in whose things of *frame* the *node* holds."""
        if frame in _IN_STUDIES and target is Frame.CASE:  # by the study's case, whatever lies in it
            return mapped(self.selected(node, frame, Frame.STUDY), Frame.STUDY, target, self.restriction())
        if isinstance(node, Criterion):
            projected = self.criteria.projected(node, frame, target)
            if projected is not None:
                return projected
        together = self._together(node, frame)
        table, key = TABLES[frame], column(key_of(frame), ROW)
        is_driven = bool(together.within) and (not together.local)
        if is_driven:
            first, *others = together.within
            if not others and not together.without:
                return mapped(first, frame, target, self.restriction())
            rest = _Together(within=others, without=together.without)
            keys = chosen(first, *rest.conditions(exp.column("k", table="d")))
            return mapped(keys, frame, target, self.restriction())
        conditions = [*self.restriction(), *together.conditions(key, table)]
        whole = exp.and_(*conditions, copy=False) if conditions else None
        if target is frame or carries(table, target):
            return keys_from(table, target, whole)
        return mapped(keys_from(table, frame, whole), frame, target, self.restriction())

    def restriction(self) -> list[exp.Expr]:
        """Return the condition that rows *v* are of the patients that are looked at, if not of all."""
        return [] if self.only is None else [self.only(column(key_of(Frame.PATIENT), ROW))]

    def condition(self, node: Node, frame: Frame) -> exp.Expr:
        """Return *node* as a condition on rows *v* of the table of *frame*; false or NULL where it fails."""
        key = column(key_of(frame), ROW)
        match node:
            case All(nodes):
                return (
                    exp.and_(*(self.condition(n, frame) for n in nodes), copy=False) if nodes else exp.true()
                )
            case Any(nodes):
                return (
                    exp.or_(*(self.condition(n, frame) for n in nodes), copy=False) if nodes else exp.false()
                )
            case NoneOf(nodes):
                return exp.and_(*(self._denied(n, frame) for n in nodes), copy=False) if nodes else exp.true()
            case Some():
                return self._some(node, frame)
            case Criterion():
                local = self.criteria.local(node, frame)
                return is_in(key, self.criteria.keys(node, frame)) if local is None else local
            case _:
                return is_in(key, self.keys(node, frame))

    def _denied(self, node: Node, frame: Frame) -> exp.Expr:
        return exp.Not(this=exp.Coalesce(this=self.condition(node, frame), expressions=[exp.false()]))

    def _some(self, some: Some, frame: Frame) -> exp.Expr:
        ones: list[exp.Expr] = [
            exp.Case(
                ifs=[exp.If(this=self.condition(n, frame), true=exp.Literal.number(1))],
                default=exp.Literal.number(0),
            )
            for n in some.nodes
        ]
        number: exp.Expr = exp.Paren(this=reduce(lambda a, b: exp.Add(this=a, expression=b), ones))
        least = exp.GTE(this=number, expression=exp.Literal.number(some.least))
        if some.most is None:
            return least
        most = exp.LTE(this=number.copy(), expression=exp.Literal.number(some.most))
        return exp.and_(least, most, copy=False)

    def _together(self, node: Node, frame: Frame) -> _Together:
        found = _Together()
        self._gather(node, frame, found)
        return found

    def _gather(self, node: Node, frame: Frame, found: _Together) -> None:
        match node:
            case All(nodes):
                for inner in nodes:
                    self._gather(inner, frame, found)
            case Criterion():
                local = None if node.is_absence else self.criteria.local(node, frame)
                if local is None:
                    found.within.append(self.criteria.keys(node, frame))
                else:
                    found.local.append(local)
            case NoneOf(nodes):
                for inner in nodes:
                    self._gather_denied(inner, frame, found)
            case Any(nodes) if nodes:
                self._gather_any(nodes, frame, found)
            case Any() | Some():
                found.local.append(self.condition(node, frame))
            case _:
                found.within.append(self.keys(node, frame))

    def _gather_denied(self, node: Node, frame: Frame, found: _Together) -> None:
        if isinstance(node, Criterion) and self.criteria.local(node, frame) is None:
            found.without.append(self.criteria.keys(node, frame))
        elif isinstance(node, Same | Event | Patients):
            found.without.append(self.keys(node, frame))
        else:
            found.local.append(self._denied(node, frame))

    def _gather_any(self, nodes: tuple[Node, ...], frame: Frame, found: _Together) -> None:
        """Unite sets where every node is one: no row of the table has to be looked at then."""
        is_local = any(
            not isinstance(n, Same | Event | Patients | Criterion)
            or (isinstance(n, Criterion) and self.criteria.local(n, frame) is not None)
            for n in nodes
        )
        if is_local:
            found.local.append(self.condition(Any(nodes), frame))
        else:
            found.within.append(united([self.keys(n, frame) for n in nodes]))

    def _same(self, same: Same, frame: Frame) -> exp.Select:
        if same.count is None:
            return self.selected(same.where, same.frame, frame)
        is_dated = same.count.within_days is not None or same.count.per is not None
        rows = things_of(self, Things(same.where, same.frame), frame, with_day=is_dated)
        return counted(rows, same.count, frame, self.dialect)
