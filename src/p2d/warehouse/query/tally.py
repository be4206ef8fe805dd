"""Numbers as they leave a query: each with the set of patients behind it, so that small ones can be hidden.

Every number of a cohort, of an attrition, facet or widening is a ``Tally``. What shields small numbers needs
to know how many patients are behind one, whatever was counted, and whether the same patients were behind it
before. A fingerprint names the set: it is the same for every query that finds the same patients of the same
warehouse, and says nothing of who they are.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from p2d.warehouse.query.session import Keys

PRIME: Final = 2_147_483_647
"""Modulus of the second checksum, 2 to the 31st less one."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many things were counted, of how many patients, and which set of patients that is."""

    number: int
    patients: int
    fingerprint: str


NOTHING: Final = Tally(0, 0, "0:0:0")


def tally_of(patients: Keys) -> Tally:
    """Return the tally of a set of patients itself."""
    squares = (patients % PRIME) ** 2 % PRIME
    return of_sums(len(patients), len(patients), int(np.sum(patients)), int(np.sum(squares)))


def of_sums(number: int | None, patients: int | None, keys: int | None, squares: int | None) -> Tally:
    """Return the tally whose sums the engine built: see ``SUMS``; NULLs are those of no row."""
    found = int(patients or 0)
    return Tally(int(number or 0), found, f"{found}:{int(keys or 0)}:{int(squares or 0)}")


SUMS: Final = (
    "sum(n) AS number, count(*) AS patients, sum(patient_key) AS keys, "
    f"sum((patient_key % {PRIME}) * (patient_key % {PRIME}) % {PRIME}) AS squares"
)
"""Columns of a SELECT over rows (patient_key, n), one for each patient, that ``of_sums`` takes."""
