"""Burned-in text by its pixels: gone where it was drawn, nothing touched elsewhere."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from phi.judging.outputs import Output
from phi.key import Expected
from phi.planting.lettering import letters

_HIDDEN: Final = 0.85
_UNTOUCHED: Final = 0.999
_AROUND_TEXT: Final = 0.90
_LOSSY: Final = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
)

Pixels = npt.NDArray[Any]


def is_hidden(row: Expected, planted: Output, output: Output) -> bool:
    """Say whether 85 % of the letters' pixels changed, the box is of one colour, or the picture is gone."""
    before, after = planted.pixels, output.pixels
    if "PixelData" not in output.dataset:
        return True
    if before is None or after is None or before.shape != after.shape:
        return False
    frame, left, top, right, bottom, height = row.box
    mask = letters(row.value, height) > 127
    old, new = (pixels[frame, top:bottom, left:right] for pixels in (before, after))
    if new.min() == new.max() or (
        new.ndim == 3 and all(new[..., c].min() == new[..., c].max() for c in range(3))
    ):
        return True
    changed = _differs(old, new, _tolerance(planted, output, old))
    return bool(changed[mask].mean() >= _HIDDEN)


def is_untouched(boxes: Sequence[Expected], planted: Output, output: Output) -> tuple[bool, str]:
    """Say whether the pixels away from all drawn text are as before, and how many of them are.

    Away is more than a letter's height from a box, in every frame. With drawn text, and in ultrasound, a
    tenth may go: a detector masks what it takes for text, and the picture may hold some of its own. Regions
    of ultrasound bound what counts.
    """
    if planted.dataset.get("PixelData") == output.dataset.get("PixelData") and "PixelData" in planted.dataset:
        return True, "same bytes"
    before, after = planted.pixels, output.pixels
    if before is None or after is None:
        return False, "cannot be decoded"
    if before.shape != after.shape:
        return False, f"shape {after.shape}, was {before.shape}"
    counted = _counted(boxes, planted, before.shape[1:3])
    if not counted.any():
        return True, "nothing to compare"
    changed = _differs(before, after, _tolerance(planted, output, before))
    kept = 1.0 - float(changed[:, counted].mean())
    is_screen = str(planted.dataset.get("Modality")) in ("US", "OT", "")
    return kept >= (_AROUND_TEXT if boxes or is_screen else _UNTOUCHED), f"{kept:.2%} untouched"


def _counted(boxes: Sequence[Expected], planted: Output, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    counted = np.ones(shape, dtype=bool)
    regions = planted.dataset.get("SequenceOfUltrasoundRegions") or []
    if regions:
        counted[:] = False
        for region in regions:
            rows = slice(int(region.RegionLocationMinY0), int(region.RegionLocationMaxY1))
            counted[rows, int(region.RegionLocationMinX0) : int(region.RegionLocationMaxX1)] = True
    for row in boxes:
        _, left, top, right, bottom, height = row.box
        counted[max(0, top - height) : bottom + height, max(0, left - height) : right + height] = False
    return counted


def _tolerance(planted: Output, output: Output, pixels: Pixels) -> float:
    """Return the difference that decoding and coding alone may make: none unless a lossy syntax took part."""
    syntaxes = {str(one.dataset.file_meta.get("TransferSyntaxUID", "")) for one in (planted, output)}
    return 0.08 * float(np.ptp(pixels) or 1) if syntaxes & set(_LOSSY) else 0.0


def _differs(old: Pixels, new: Pixels, tolerance: float) -> npt.NDArray[np.bool_]:
    differs: npt.NDArray[np.bool_] = np.abs(old.astype(np.float64) - new.astype(np.float64)) > tolerance
    is_colour = old.ndim in (3, 4) and old.shape[-1] == 3
    return np.asarray(differs.any(axis=-1)) if is_colour else differs
