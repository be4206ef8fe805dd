"""One question in one snapshot: its criteria as sets of patients, combined here.

Every part of the query that stands apart at the outside (a criterion, a frame, an event, a list) is asked of
the engine by itself and kept; ``all``, ``any``, ``none`` and ``n_of`` around them are set operations on
sorted arrays. So a query that changes in one criterion asks for that one alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from sqlglot import exp

from p2d.warehouse.query.attributes import Catalogue
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.criterion_cache import CriterionCache
from p2d.warehouse.query.nodes import All, Any, Frame, Node, NoneOf, Some
from p2d.warehouse.query.session import Keys, Session, sorted_once

EVERYBODY: Final = All(())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers placed nodes with patients."""

    session: Session
    catalogue: Catalogue
    cache: CriterionCache

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
        kept = exp.select(exp.column("k", table="c")).from_(exp.to_table(name, alias="c"))
        return lambda place: exp.In(this=place, query=kept.copy().subquery())

    def patients(self, node: Node) -> Keys:
        """Return the patients that *node*, placed, holds for.

        Raises:
            InvalidRequest: an operator or operand that does not fit its attribute.
            Unavailable: it took too long.

        """
        match node:
            case All(nodes) if nodes:
                return reduce(_both, sorted((self.patients(n) for n in nodes), key=len))
            case Any(nodes):
                return sorted_once(np.concatenate([self.patients(n) for n in nodes])) if nodes else _NOBODY
            case NoneOf(nodes):
                found = self.patients(Any(nodes))
                return np.setdiff1d(self.patients(EVERYBODY), found, assume_unique=True)
            case Some():
                return self._some(node)
            case _:
                return self._unit(node)

    def _some(self, some: Some) -> Keys:
        found = [self.patients(node) for node in some.nodes]
        if some.least == 0:
            found.append(self.patients(EVERYBODY))
        keys, numbers = np.unique(np.concatenate(found), return_counts=True)
        numbers = numbers - (some.least == 0)
        is_so = numbers >= some.least
        if some.most is not None:
            is_so &= numbers <= some.most
        return keys[is_so]

    def _unit(self, node: Node) -> Keys:
        version = self.session.version
        known = self.cache.get(node, version)
        if known is not None:
            return known
        compiler = self.compiler()
        keys = compiler.keys(node, Frame.PATIENT)
        if self.session.dialect.sends_keys_once:
            unit = exp.select(exp.column("k", table="unit"), copy=False)
            keys = unit.from_(keys.subquery("unit", copy=False), copy=False).distinct(copy=False)
        found = self.session.keys(keys, compiler.parameters)
        self.cache.put(node, version, found)
        return found


_NOBODY: Keys = np.empty(0, np.int64)


def _both(one: Keys, other: Keys) -> Keys:
    return np.intersect1d(one, other, assume_unique=True)
