"""A cost that grows with sizes, fitted to few measurements and summed over many."""

from functools import cache
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_ROUNDS: Final = 4
_USUAL: Final = 1.345
"""Deviations, in units of the usual one, from which a measurement counts less (Huber)."""

_RIDGE: Final = 1e-12
"""What keeps columns apart that are the same in all measurements."""

_NORMAL_MAD: Final = 1.4826
"""The standard deviation of normal errors in units of their median absolute deviation."""


def fitted(sizes: FloatArray, values: FloatArray, count: int, totals: FloatArray) -> FloatArray:
    """Return the cost of *count* patients with sizes of *totals* together: a constant, a multiple of each.

    *sizes* (…, n, k) and *values* (…, n) are n measurements, *totals* is (…, k): one fit for each of the
    leading places. None of the factors is negative. They have the least squares of relative errors, in which
    a measurement far off the others counts less (Huber's weights), so that one patient whom the archive kept
    waiting does not bend the plan.
    """
    rows = np.concatenate([np.ones((*sizes.shape[:-1], 1)), sizes], axis=-1)
    least = np.maximum(np.median(values, axis=-1, keepdims=True) * 1e-3, 1e-9)
    found = _not_negative(rows, values)
    for _ in range(_ROUNDS):
        fit = np.einsum("...nk,...k->...n", rows, found)
        expected = np.maximum(fit, least)
        errors = np.abs(values - fit) / expected
        usual = np.median(errors, axis=-1, keepdims=True) * _NORMAL_MAD * _USUAL
        weights = np.minimum(1.0, np.maximum(usual, 1e-9) / np.maximum(errors, 1e-9))
        scale = np.sqrt(weights) / expected
        found = _not_negative(rows * scale[..., None], values * scale)
    summed: FloatArray = found[..., 0] * count + (totals * found[..., 1:]).sum(axis=-1)
    return summed


def _not_negative(rows: FloatArray, values: FloatArray) -> FloatArray:
    """Return the factors of the columns, none negative, with the least squares of errors.

    Every choice of columns whose factor is not 0 is tried; they are few.
    """
    products = np.einsum("...ni,...nj->...ij", rows, rows)
    target = np.einsum("...ni,...n->...i", rows, values)
    width = target.shape[-1]
    scales = np.sqrt(np.maximum(products[..., range(width), range(width)], 1e-300))
    products = products / (scales[..., :, None] * scales[..., None, :])
    products[..., range(width), range(width)] += _RIDGE
    target = target / scales
    best, least = np.zeros(target.shape), np.zeros(target.shape[:-1])
    for some in _choices(width):
        chosen = target[..., some]
        factors = np.linalg.solve(products[..., some[:, None], some], chosen[..., None])[..., 0]
        error = -(factors * chosen).sum(axis=-1)  # less the squares of the values, which all have
        is_closer = (factors.min(axis=-1) >= 0) & (error < least)
        found = np.zeros(target.shape)
        found[..., some] = factors
        best, least = np.where(is_closer[..., None], found, best), np.where(is_closer, error, least)
    unscaled: FloatArray = best / scales
    return unscaled


@cache
def _choices(width: int) -> list[npt.NDArray[np.intp]]:
    """Return all choices of columns."""
    return [
        np.array(some, np.intp)
        for number in range(width, 0, -1)
        for some in combinations(range(width), number)
    ]
