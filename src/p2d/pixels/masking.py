"""Look at one object, mask what reads as text, and write it back (PS3.15 E.3.1, Clean Pixel Data Option).

Input is hostile: production calls this in the child process of ``p2d.pixels.screening`` only.
"""

import io
import warnings
from typing import Final, Literal, Protocol

import numpy as np
from pydicom import DataElement, Dataset, dcmread, dcmwrite
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from p2d.pixels.box import Box, joined_lines, outside, without_covered
from p2d.pixels.display import Picture, ends_of_range, equalised, pictures_of, stacked
from p2d.pixels.encapsulated import EncapsulatedFrames
from p2d.pixels.native import NativeFrames
from p2d.pixels.protocol import Effort, Outcome, Task, Unscreenable
from p2d.pixels.raster import PIXEL_KEYWORDS, Raster, Samples
from p2d.pixels.shade import shade_of
from p2d.pixels.statement import mark_masked, mark_screened

_LETTER: Final = 24  # pixels that a letter lost at the end of a line is wide at the most
_LOST_LETTERS: Final = 4  # of them at each end, where text is expected over structures in colour
_ROUNDS: Final = 3
"""Times a frame is looked at again after masking before the object is given up."""
_ENLARGED: Final = 1.5
"""Scale of the closer looks."""
_COARSE: Final = 0.7
"""Scale of the second look at a sample."""
_LARGE: Final = 1024
"""Side above which a picture is not enlarged."""
_GAP: Final = 2.5
"""Heights between two boxes of a line below which what lies between is text, too."""
_RING: Final = 2
"""Pixels around a box whose shade it is painted over with, for looking again."""
_FLOAT_PIXELS: Final = 0x7FE00008


class Detector(Protocol):
    """What finds text: ``p2d.pixels.detector.TextDetector``."""

    def boxes(self, picture: Picture, scale: float = 1.0, *, in_outlines: bool = False) -> tuple[Box, ...]:
        """Return boxes of the texts in *picture*."""


def screen(content: bytes, task: Task, detector: Detector) -> Outcome:
    """Screen the DICOM file *content* (PS3.10), already without identifiers in its header.

    Raises:
        Unscreenable: not readable, no pixels, too large, no decoder, damaged, or text stays after masking.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a strange file is not worth a line in a log
        try:
            return _screened(content, task, detector)
        except Unscreenable:
            raise
        except MemoryError as error:
            raise Unscreenable("too-large") from error
        except Exception as error:  # pydicom and its plugins raise of every kind on damaged input
            raise Unscreenable("damaged") from error


def _screened(content: bytes, task: Task, detector: Detector) -> Outcome:
    dataset = dcmread(io.BytesIO(content))
    raster = Raster.of(dataset)
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID).strip())
    frames = _frames(dataset, raster, syntax)
    if task.overlay_bits:
        if not isinstance(frames, NativeFrames):
            raise Unscreenable("transfer-syntax")
        frames.clear_bits(task.overlay_bits)
    looked_at = tuple(sorted({0, raster.frames // 2, raster.frames - 1}))
    beyond = outside(task.regions, raster.rows, raster.columns) if task.regions else ()
    eye = _Eye(dataset, raster, detector)
    certain = tuple(box.clipped(raster.rows, raster.columns) for box in (*beyond, *task.known))
    found: tuple[Box, ...] = ()
    shade: tuple[float, ...] = ()
    for index in looked_at:
        frame = frames.frame(index)
        shade = shade or shade_of(dataset, raster, frames.photometric, frame)
        effort = task.effort if index == 0 or task.effort == "layout" else "alarm"
        found = eye.look(frame, frames.photometric, (*certain, *found), effort)[len(certain) :]
    boxes = without_covered((*certain, *found))
    if not boxes and not task.overlay_bits:
        return _clean(content, dataset, looked_at)
    frames.blank(boxes, shade)
    return _masked(dataset, frames, boxes, found, looked_at)


Frames = NativeFrames | EncapsulatedFrames


def _frames(dataset: Dataset, raster: Raster, syntax: UID) -> Frames:
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise Unscreenable("transfer-syntax")
    if syntax.is_encapsulated:
        return EncapsulatedFrames(dataset, raster, str(syntax))
    element = _pixel_element(dataset)
    is_big = syntax == ExplicitVRBigEndian
    return NativeFrames(
        bytes(element.value or b""), raster, is_big=is_big, is_swapped=is_big and element.VR == "OW"
    )


class _Eye:
    """Looks at frames of one object."""

    def __init__(self, dataset: Dataset, raster: Raster, detector: Detector) -> None:
        self._dataset = dataset
        self._raster = raster
        self._detector = detector

    def look(
        self, frame: Samples, photometric: str, known: tuple[Box, ...], effort: Effort
    ) -> tuple[Box, ...]:
        """Return *known* and the boxes found beside them in *frame*.

        What was found is painted over and looked at again until nothing more reads as text.

        Raises:
            Unscreenable: ``text-stays`` after the last round.

        """
        boxes = known
        for turn in range(_ROUNDS + 1):
            closely: Effort = effort if turn == 0 else "layout"
            more = self._seen(_painted_over(frame, boxes), photometric, closely)
            if not more:
                return boxes
            boxes = (*boxes, *more)
        raise Unscreenable("text-stays")

    def _seen(self, frame: Samples, photometric: str, effort: Effort) -> tuple[Box, ...]:
        rows, columns = self._raster.rows, self._raster.columns
        pictures = list(pictures_of(self._dataset, self._raster, photometric, frame))
        first = pictures[:1] if effort == "alarm" else pictures
        found = [box for picture in first for box in self._detector.boxes(picture)]
        if effort == "rule":
            stored = frame if photometric.startswith("MONOCHROME") else pictures[0]
            found += self._detector.boxes(ends_of_range(stored), in_outlines=True)
        if effort == "rule" and max(rows, columns) <= _LARGE:
            found += self._detector.boxes(equalised(pictures[0]), _ENLARGED)
            found += self._detector.boxes(pictures[0], _ENLARGED)
        elif effort != "layout":
            found += self._detector.boxes(stacked(pictures), _COARSE)
        lines = joined_lines(found, _GAP)
        letters = 1 if effort == "alarm" else _LOST_LETTERS
        return without_covered(_generous(box, letters).clipped(rows, columns) for box in lines)


def _generous(box: Box, letters: int) -> Box:
    """Return *box* with room for accents and soft edges, and at both ends of the line for *letters*.

    Over bright or coloured structures the detector loses the first or last letters of a line.
    """
    short, is_line = min(box.width, box.height), box.width >= box.height
    aside, along = 2 + short // 10, 2 + min(letters * short, letters * _LETTER)
    right, down = (along, aside) if is_line else (aside, along)
    return Box(box.left - right, box.top - down, box.right + right, box.bottom + down)


def _painted_over(frame: Samples, boxes: tuple[Box, ...]) -> Samples:
    """Return *frame* with each box in the shade around it, so that no box reads as a letter itself."""
    if not boxes:
        return frame
    painted = frame.copy()
    for box in sorted(boxes, key=lambda each: -each.width * each.height):
        around = box.padded(_RING).clipped(*frame.shape[:2])
        ring = np.ones((around.height, around.width), bool)
        inside = box.moved(-around.left, -around.top)
        ring[inside.top : inside.bottom, inside.left : inside.right] = False
        values = painted[around.top : around.bottom, around.left : around.right][ring]
        if values.size:
            painted[box.top : box.bottom, box.left : box.right] = np.median(values, axis=0)
    return painted


def _clean(content: bytes, dataset: Dataset, looked_at: tuple[int, ...]) -> Outcome:
    """Return the outcome for an object without text: a new header, its pixel bytes as they were."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    start = _start_of_pixels(content, dataset)
    mark_screened(dataset)
    if start is None:
        return Outcome(_file(dataset), len(content), syntax, (), (), looked_at, is_masked=False)
    for tag in [tag for tag in dataset.keys() if tag >= _FLOAT_PIXELS]:  # noqa: SIM118 - raw elements stay raw
        del dataset[tag]
    return Outcome(_file(dataset), start, syntax, (), (), looked_at, is_masked=False)


def _masked(
    dataset: Dataset,
    frames: Frames,
    boxes: tuple[Box, ...],
    found: tuple[Box, ...],
    looked_at: tuple[int, ...],
) -> Outcome:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    mark_masked(dataset)
    if isinstance(frames, EncapsulatedFrames):
        syntax = frames.write(dataset)
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    else:
        _pixel_element(dataset).value = frames.value()
    return Outcome(_file(dataset), -1, syntax, boxes, found, looked_at, is_masked=True)


def _start_of_pixels(content: bytes, dataset: Dataset) -> int | None:
    """Return where the pixel element begins in *content*, or None where the file is deflated."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == DeflatedExplicitVRLittleEndian:
        return None
    element = _pixel_element(dataset)
    start = int(element.file_tell or 0) - (8 if syntax.is_implicit_VR else 12)
    first = min(tag for tag in dataset.keys() if tag >= _FLOAT_PIXELS)  # noqa: SIM118 - raw elements stay raw
    order: Literal["little", "big"] = "little" if syntax.is_little_endian else "big"
    tag = (element.tag >> 16).to_bytes(2, order) + (element.tag & 0xFFFF).to_bytes(2, order)
    is_there = first == element.tag and start > 0 and content[start : start + 4] == tag
    return start if is_there else None


def _pixel_element(dataset: Dataset) -> DataElement:
    return next(dataset[name] for name in PIXEL_KEYWORDS if name in dataset)


def _file(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    syntax = dataset.file_meta.TransferSyntaxUID
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return buffer.getvalue()
