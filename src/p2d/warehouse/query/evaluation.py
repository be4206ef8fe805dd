"""One question in one snapshot: its criteria as sets of patients, combined here.

Every part of the query that stands apart at the outside (a criterion, a frame, an event, a list) is asked of
the engine by itself and kept; ``all``, ``any``, ``none`` and ``n_of`` around them are set operations on
sorted arrays. So a query that changes in one criterion asks for that one alone. Of what has to hold together
the quickest is asked first, and the next of those patients only that are left, where these are few.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlglot import exp

from p2d.warehouse.query.attributes import Catalogue
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.criterion_cache import CriterionCache
from p2d.warehouse.query.nodes import All, Any, Criterion, Event, Frame, Node, NoneOf, Same, Some
from p2d.warehouse.query.relations import rows_of
from p2d.warehouse.query.session import Keys, Session, sorted_once
from p2d.warehouse.query.texts import TEXTUAL, demanded_pieces

EVERYBODY: Final = All(())
_FACTS, _WORDS, _THINGS, _TEXTS = 1, 2, 3, 4
_NARROW: Final = 0.2
"""The share of all patients up to which it pays to ask of them alone."""
_FEW: Final = 50
"""Patients who are always asked of alone."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers placed nodes with patients.

    Only with ``narrows`` is a node asked of those alone that others leave. How long a question takes, and
    what an engine refuses of it, then tell whether anybody was left: it is not for those who see shielded
    numbers.
    """

    session: Session
    catalogue: Catalogue
    cache: CriterionCache
    narrows: bool = False

    def compiler(self, only: Callable[[exp.Expr], exp.Expr] | None = None) -> Compiler:
        """Return a compiler for statements of this session; *only* is as it takes it."""
        terms = self.session.terms if self.session.dialect.has_terms and only is None else None
        return Compiler(self.catalogue, self.session.dialect, terms, only)

    def restricted(self, keys: Keys, name: str) -> Callable[[exp.Expr], exp.Expr]:
        """Return the condition that a key is one of *keys*; many are kept as the temporary table *name*."""
        if len(keys) <= self.session.dialect.few_keys:
            listed = ", ".join(map(str, keys.tolist())) or "NULL"  # one node: a tree of 500 would be slow
            return lambda place: exp.In(this=place, expressions=[exp.Var(this=listed)])
        self.session.keep(name, keys)
        kept = exp.select(exp.column("k", table="c")).from_(rows_of(name, "c"))
        return lambda place: exp.In(this=place, query=kept.copy().subquery())

    def is_narrow(self, patients: int) -> bool:
        """Whether so many *patients* are asked about alone sooner than everybody, which could be kept."""
        dialect = self.session.dialect
        share = min(dialect.narrow_to, self.catalogue.patients * _NARROW)
        return patients <= max(share, dialect.few_keys, _FEW)

    def patients(self, node: Node, among: Keys | None = None) -> Keys:
        """Return the patients, those of *among* where it is given, that *node*, placed, holds for.

        Raises:
            InvalidRequest: an operator or operand that does not fit its attribute.
            Unavailable: it took too long.

        """
        match node:
            case All(nodes) if nodes:
                return self._all(nodes, among)
            case Any(nodes):
                several = [self.patients(n, among) for n in nodes]
                return sorted_once(np.concatenate(several)) if nodes else _NOBODY
            case NoneOf(nodes):
                found = self.patients(Any(nodes), among)
                everybody = self.patients(EVERYBODY) if among is None else among
                return np.setdiff1d(everybody, found, assume_unique=True)
            case Some():
                return self._some(node, among)
            case _:
                return self._unit(node, among)

    def _all(self, nodes: Sequence[Node], among: Keys | None) -> Keys:
        """Return whom all of *nodes* hold for, each asked of those that the quicker ones before it leave."""
        left = among
        for node in sorted(nodes, key=self._effort):
            left = self.patients(node, left)
        assert left is not None  # noqa: S101 - there is a node
        return left

    def _effort(self, node: Node) -> int:
        is_known = self.cache.get(node, self.session.version) is not None
        return 0 if is_known else _effort(node, has_text_index=self.session.dialect.has_text_index)

    def _some(self, some: Some, among: Keys | None) -> Keys:
        found = [self.patients(node, among) for node in some.nodes]
        if some.least == 0:
            found.append(self.patients(EVERYBODY) if among is None else among)
        keys, numbers = np.unique(np.concatenate(found), return_counts=True)
        numbers = numbers - (some.least == 0)
        is_so = numbers >= some.least
        if some.most is not None:
            is_so &= numbers <= some.most
        return keys[is_so]

    def _unit(self, node: Node, among: Keys | None) -> Keys:
        version = self.session.version
        known = self.cache.get(node, version)
        if known is None and among is not None and self.narrows and self.is_narrow(len(among)):
            return self._narrowed(node, among)
        if known is None:
            known = self._asked(node, self.compiler())
            self.cache.put(node, version, known)
        return known if among is None else _both(known, among)

    def _narrowed(self, node: Node, among: Keys) -> Keys:
        """Return whom of *among* the *node* holds for; who was asked about before is not asked again."""
        version = self.session.version
        known = self.cache.get_some(node, version)
        asked, found = (_NOBODY, _NOBODY) if known is None else known
        new = np.setdiff1d(among, asked, assume_unique=True)
        if len(new) or known is None:  # what is no question is refused whoever is left
            compiler = self.compiler(self.restricted(new, "narrow"))
            more = _both(self._asked(node, compiler), new)
            asked, found = (
                sorted_once(np.concatenate([asked, new])),
                sorted_once(np.concatenate([found, more])),
            )
            self.cache.put_some(node, version, asked, found)
        return _both(found, among)

    def _asked(self, node: Node, compiler: Compiler) -> Keys:
        keys = compiler.keys(node, Frame.PATIENT)
        if self.session.dialect.sends_keys_once:
            unit = exp.select(exp.column("k", table="unit"), copy=False)
            keys = unit.from_(keys.subquery("unit", copy=False), copy=False).distinct(copy=False)
        return self.session.keys(keys, compiler.parameters)


def _effort(node: Node, *, has_text_index: bool) -> int:
    """Return how long *node* takes beside others: lists, facts, images and events, texts that are read.

    Where an index knows the texts that hold a word, these come before images.
    """

    def effort(node: Node) -> int:
        match node:
            case Criterion():
                if node.subject != "document" or node.operator not in TEXTUAL:
                    return _FACTS
                return _WORDS if has_text_index and demanded_pieces(node) else _TEXTS
            case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
                return max(map(effort, nodes), default=0)
            case Same():
                return max(_THINGS, effort(node.where))
            case Event():
                related = 0 if node.relation is None else effort(node.relation.other)
                return max(_THINGS, related, effort(node.where))
            case _:
                return 0

    return effort(node)


_NOBODY: Keys = np.empty(0, np.int64)


def _both(one: Keys, other: Keys) -> Keys:
    return np.intersect1d(one, other, assume_unique=True)
