"""Whether texts have the form of P2D's pseudonyms, a column at a time.

The check character is that of ``p2d.model.ids`` (ISO/IEC 7064 MOD 37,36), computed place by place for all.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FORMS: Final[Mapping[str, tuple[str, int]]] = {
    "patient": ("P", 18),
    "case": ("C", 18),
    "accession": ("A", 16),
}
"""First letter and number of characters, check character included; an accession number fits VR SH."""
_DIGITS: Final = 10


def not_pseudonyms(values: Any, kind: str, patient_form: str | None = None) -> Any:
    """Return, for each of *values*, whether it is a text, but not a pseudonym of *kind* (a key of ``FORMS``).

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms.
    """
    if kind == "patient" and patient_form is not None:
        form = re.compile(patient_form)
        listed = values.to_pylist()
        return pa.array([text is not None and form.fullmatch(text) is None for text in listed], pa.bool_())
    prefix, length = FORMS[kind]
    shaped = pc.match_substring_regex(values, rf"\A{prefix}[0-9A-Z]{{{length - 1}}}\z")
    chosen = np.flatnonzero(np.asarray(pc.fill_null(shaped, False)))
    letters = "".join(values.take(pa.array(chosen)).to_pylist()).encode("ascii")
    grid = np.frombuffer(letters, np.uint8).reshape(len(chosen), length).astype(np.int64)
    wrong = np.array(values.is_valid().to_numpy(zero_copy_only=False))
    wrong[chosen] = _check_characters(grid[:, :-1]) != _places(grid[:, -1])
    return pa.array(wrong)


def is_patient(text: str, patient_form: str | None = None) -> bool:
    """Whether *text* is a patient pseudonym."""
    return not not_pseudonyms(pa.array([text], pa.string()), "patient", patient_form)[0].as_py()


def _places(letters: Any) -> Any:
    """Return the places of ASCII *letters* in the alphabet 0-9 A-Z."""
    return np.where(letters >= ord("A"), letters - ord("A") + _DIGITS, letters - ord("0"))


def _check_characters(grid: Any) -> Any:
    """Return the place of the check character of each row of *grid*."""
    product = np.full(len(grid), 36)
    for column in range(grid.shape[1]):
        total = (product + _places(grid[:, column])) % 36
        product = np.where(total == 0, 36, total) * 2 % 37
    return (37 - product) % 36
