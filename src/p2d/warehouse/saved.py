"""Port to saved cohorts: queries and lists of pseudonyms under a name, each with its owner."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SavedCohort:
    """A cohort under a name of its owner's: the JSON of its query, or, where that is None, its patients.

    ``size`` counts the patients of a list; ``patients`` holds them where they were asked for. ``created_at``
    is UTC.
    """

    name: str
    owner: str
    is_shared: bool
    query: str | None
    created_at: datetime
    size: int = 0
    patients: Sequence[str] = field(default=(), repr=False)


class CohortStore(Protocol):
    """Keeps saved cohorts; safe to share between threads. Every method raises Unavailable where it cannot."""

    def save(self, cohort: SavedCohort) -> None:
        """Keep *cohort* in place of its owner's of that name, with its patients."""
        ...

    def find(self, name: str) -> tuple[SavedCohort, ...]:
        """Return everybody's cohorts called *name*, with their patients, by owner."""
        ...

    def listed(self) -> tuple[SavedCohort, ...]:
        """Return everybody's cohorts without their patients, by name and owner."""
        ...

    def delete(self, name: str, owner: str) -> bool:
        """Forget the cohort *name* of *owner*; return whether there was one."""
        ...
