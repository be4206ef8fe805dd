"""Finds text in pictures: a detector (DBNet) proposes boxes, a recogniser (CTC) reads, two guards decide.

The weights (PP-OCRv6 small, Apache-2.0) lie in the ``rapidocr`` wheel; its Python code, which may download
others, is not imported. Guard 1: text is no higher than a fifth of the picture, so that a thorax is no O.
Guard 2: at least two letters or digits are read; or, for scripts the recogniser does not know, the line is
long and the detector sure. What was read is compared with nothing, and never leaves this module.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from p2d.pixels.box import Box
from p2d.pixels.display import Picture

_SIDE: Final = 736
"""Smaller pictures are enlarged to this shorter side; the detector was trained near it."""
_LARGEST: Final = 3.0
"""Small pictures are enlarged no further: letters of 8 pixels are large enough then."""
_WHOLE: Final = 1600
"""Up to this longer side a picture is looked at in one piece; larger ones reduced, and in tiles."""
_REDUCED: Final = 1104
_TILE: Final = 736
_OVERLAP: Final = 64
_STEEP: Final = 24
"""Levels between pixels two apart that a legible letter's edge has."""
_EDGES: Final = 24
"""Steep pairs that two legible letters have at least; tiles with fewer are passed over."""
_STEP: Final = 32
_INK: Final = 0.3
"""Probability from which a pixel is text."""
_SURE: Final = 0.45
"""Mean probability from which a spot of text pixels is proposed."""
_GROW: Final = 1.6
"""Growth of a spot to the text around it: the detector learned shrunk boxes (DBNet, unclip ratio)."""
_LINE: Final = 48
"""Rows the recogniser reads."""
_WIDEST: Final = 2400
_READ: Final = 0.6
"""Mean probability of the letters from which a text counts as read."""
_LETTERS: Final = 2
_HIGHEST: Final = 0.2
"""Guard 1: share of the picture's height, of boxes that are grown by about a half around the ink."""
_LONG: Final = 2.5
"""Guard 2 without reading: length over height."""
_CERTAIN: Final = 0.7
"""Guard 2 without reading: mean probability of the spot; anatomy of that form stayed below 0.65."""

Tensor = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Spot:
    """A proposed text: corners clockwise from the upper left, in pixels of the picture."""

    corners: NDArray[np.float32]
    probability: float

    @property
    def sides(self) -> tuple[float, float]:
        """Width and height along the text's own axes."""
        across = float(np.linalg.norm(self.corners[1] - self.corners[0]))
        down = float(np.linalg.norm(self.corners[3] - self.corners[0]))
        return across, down

    @property
    def is_certain(self) -> bool:
        """Whether form and probability alone say that this is a line of text."""
        short, long = sorted(self.sides)
        return long >= _LONG * short and self.probability >= _CERTAIN

    def box(self) -> Box:
        """Return the upright rectangle around the spot."""
        left, top = np.floor(self.corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(self.corners.max(axis=0)).astype(int) + 1
        return Box(int(left), int(top), int(right), int(bottom))


class TextDetector:
    """Both models, loaded once; one thread each.

    Raises:
        FileNotFoundError: the weights are not installed.

    """

    def __init__(self) -> None:
        folder = weights_folder()
        if folder is None:
            raise FileNotFoundError("weights of the text detector")
        cv2.setNumThreads(1)
        self._detect = _session(folder, "det")
        self._read = _session(folder, "rec")
        characters = self._read.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._is_letter = np.array([False, *(text[:1].isalnum() for text in characters), False])

    def boxes(self, picture: Picture, scale: float = 1.0, *, in_outlines: bool = False) -> tuple[Box, ...]:
        """Return the texts of *picture* that pass both guards; *scale* looks closer or coarser.

        *in_outlines* says that the picture has shapes alone: some look like a line of text and others read as
        letters, so a text there has to do both.
        """
        highest = _HIGHEST * picture.shape[0]
        spots = [
            spot
            for spot in self._spots(picture, scale)
            if min(spot.sides) <= highest and max(spot.sides) > _TINY
        ]
        if in_outlines:
            certain = (spot for spot in spots if spot.is_certain)
            return tuple(spot.box() for spot in certain if self._reads(_line(picture, spot)))
        return tuple(spot.box() for spot in spots if spot.is_certain or self._reads(_line(picture, spot)))

    def _spots(self, picture: Picture, scale: float) -> Iterator[_Spot]:
        rows, columns = picture.shape[:2]
        factor = min(max(1.0, _SIDE / min(rows, columns)), _LARGEST) * scale
        if scale > 1:
            factor = min(factor, max(1.0, _WHOLE / max(rows, columns)))
        if max(rows, columns) * factor <= _WHOLE:
            yield from self._spots_of(picture, factor, 0, 0)
            return
        yield from self._spots_of(picture, _REDUCED / max(rows, columns), 0, 0)
        if scale < 1:
            return
        for top, left in _tiles(rows, columns):
            tile = picture[top : top + _TILE, left : left + _TILE]
            if _may_hold_letters(tile):
                yield from self._spots_of(tile, 1.0, left, top)

    def _spots_of(self, picture: Picture, factor: float, left: int, top: int) -> Iterator[_Spot]:
        rows, columns = picture.shape[:2]
        height = max(_STEP, round(rows * factor / _STEP) * _STEP)
        width = max(_STEP, round(columns * factor / _STEP) * _STEP)
        resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        tensor = (resized.astype(np.float32) / 127.5 - 1.0).transpose(2, 0, 1)[np.newaxis]
        ink: Tensor = self._detect.run(None, {self._detect.get_inputs()[0].name: tensor})[0][0, 0]
        mask = cv2.dilate((ink > _INK).astype(np.uint8), np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        step = np.array([columns / width, rows / height], np.float32)
        for contour in contours:
            (centre, (wide, high), angle) = cv2.minAreaRect(contour)
            probability = _mean_inside(ink, contour)
            if min(wide, high) < _THINNEST or probability < _SURE:
                continue
            growth = 2 * wide * high * _GROW / (2 * (wide + high))
            corners = cv2.boxPoints((centre, (wide + growth, high + growth), angle))
            yield _Spot(_clockwise(corners * step + np.array([left, top], np.float32)), probability)

    def _reads(self, line: Picture) -> bool:
        """Whether *line* reads as two letters or digits at least."""
        tensor = (line.astype(np.float32) / 127.5 - 1.0).transpose(2, 0, 1)[np.newaxis]
        probabilities: Tensor = self._read.run(None, {self._read.get_inputs()[0].name: tensor})[0][0]
        best = probabilities.argmax(axis=1)
        is_new = np.ones(best.size, dtype=bool)
        is_new[1:] = best[1:] != best[:-1]
        kept = is_new & (best != 0)
        if not kept.any():
            return False
        sure = float(probabilities.max(axis=1)[kept].mean())
        return sure >= _READ and int(self._is_letter[best[kept]].sum()) >= _LETTERS


_TINY: Final = 4
"""Pixels of the picture."""
_THINNEST: Final = 3
"""Pixels of the detector's map."""


def weights_folder() -> Path | None:
    """Return the folder of the models, or None where the extra ``p2d[pixels]`` is not installed."""
    found = importlib.util.find_spec("rapidocr")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations))) / "models"
    return folder if folder.is_dir() else None


def _session(folder: Path, kind: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = (
        False  # sizes differ from picture to picture; the arena would keep the largest
    )
    options.log_severity_level = 4
    try:
        path = next(iter(sorted(folder.glob(f"*_{kind}_*.onnx"))))
    except StopIteration:
        raise FileNotFoundError("weights of the text detector") from None
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _tiles(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    for top in _starts(rows):
        for left in _starts(columns):
            yield top, left


def _starts(length: int) -> list[int]:
    """Return where tiles begin that cover *length* evenly: a narrow rest would cut shapes into letters."""
    last = max(0, length - _TILE)
    count = -(-last // (_TILE - _OVERLAP))
    return [round(last * number / max(count, 1)) for number in range(count + 1)]


def _may_hold_letters(tile: Picture) -> bool:
    """Whether *tile* has as many steep edges as two legible letters; soft shadows of radiographs do not."""
    levels = tile.astype(np.int16)
    across = np.abs(levels[:, 2:] - levels[:, :-2]) >= _STEEP
    return int(np.count_nonzero(across.any(axis=2))) >= _EDGES


def _mean_inside(ink: Tensor, contour: NDArray[Any]) -> float:
    left, top, width, height = cv2.boundingRect(contour)
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [contour - np.array([left, top])], -1, 1, thickness=cv2.FILLED)
    return float(cv2.mean(ink[top : top + height, left : left + width], mask)[0])


def _clockwise(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    by_column = corners[np.argsort(corners[:, 0], kind="stable")]
    upper_left, lower_left = by_column[:2][np.argsort(by_column[:2, 1], kind="stable")]
    upper_right, lower_right = by_column[2:][np.argsort(by_column[2:, 1], kind="stable")]
    return np.array([upper_left, upper_right, lower_right, lower_left], np.float32)


def _line(picture: Picture, spot: _Spot) -> Picture:
    """Return the text of *spot* upright, 48 rows high; one that stands is laid down."""
    across, down = (max(1, round(side)) for side in spot.sides)
    target = np.array([[0, 0], [across, 0], [across, down], [0, down]], np.float32)
    matrix = cv2.getPerspectiveTransform(spot.corners, target)
    line = cv2.warpPerspective(
        picture, matrix, (across, down), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    if down >= across * 1.5:
        line = np.rot90(line)
        across, down = down, across
    width = min(_WIDEST, max(16, round(across * _LINE / down)))
    resized: Picture = cv2.resize(np.ascontiguousarray(line), (width, _LINE)).astype(np.uint8)
    return resized
