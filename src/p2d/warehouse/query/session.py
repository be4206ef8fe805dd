"""Port to an engine as the cohort language sees it: one snapshot that SQLGlot expressions are asked of."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sqlglot import exp

from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.nodes import Value

Keys = npt.NDArray[np.int64]
"""Surrogate keys, ascending, each once."""


def sorted_once(keys: Keys) -> Keys:
    """Return *keys* ascending and each once; those of a patient mostly lie together: little is sorted."""
    few = keys[_is_new(keys)]
    few.sort()
    return few[_is_new(few)]


def _is_new(keys: Keys) -> npt.NDArray[np.bool_]:
    found = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=found[1:])
    return found


class Session(Protocol):
    """One question's snapshot of the warehouse: what others commit meanwhile is not seen.

    Every method raises Unavailable where the question takes longer than the engine's limit, was interrupted,
    or the engine does not answer, and InvalidRequest where the engine refuses a pattern or operand.
    """

    @property
    def dialect(self) -> Dialect:
        """How the engine writes what SQL leaves open."""
        ...

    @property
    def version(self) -> int:
        """The version of the data in the snapshot; it grows with every commit that changes any."""
        ...

    def keys(self, query: exp.Expr, parameters: Mapping[str, Value]) -> Keys:
        """Return the only column of *query*, surrogate keys, ascending, each once and without NULL."""
        ...

    def rows(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[tuple[object, ...]]:
        """Return the rows of *query* as they come: int, float, str, date, bool or None."""
        ...

    def names(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[str]:
        """Return the only column of *query*, texts without NULL, in its order."""
        ...

    def keep(self, name: str, keys: Keys) -> None:
        """Keep *keys* as a temporary table *name* of one column ``k`` until the session ends.

        *name* is one of ours, never of a user; a table of that name is replaced.
        """
        ...

    def keep_found(self, name: str, query: exp.Expr, parameters: Mapping[str, Value]) -> None:
        """Keep the rows of *query* as ``keep`` does, with its columns; they do not leave the engine."""
        ...

    def terms(self, pieces: frozenset[str]) -> tuple[str, ...] | None:
        """Return the words of the table ``term`` that hold one of *pieces*, written in lower case.

        None where the engine has no such table, or so many documents hold one that reading them all is no
        slower.
        """
        ...
