"""Screening of objects that may show text: from a decision to a finished file, or why there is none."""

import importlib.util
import io
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from pydicom import dcmread

from p2d.deid.pixels.decision import Decision
from p2d.deid.pixels.layouts import DeviceKey, Layouts
from p2d.model.released import Reason
from p2d.pixels.box import Box
from p2d.pixels.protocol import Outcome, Task, Unscreenable
from p2d.pixels.screening import ScreeningSandbox

_REASONS: Final = {
    "no-pixels": Reason.NO_PIXELS,
    "transfer-syntax": Reason.TRANSFER_SYNTAX,
    "text-stays": Reason.BURNED_IN,
}
_NEEDED: Final = ("rapidocr", "onnxruntime", "cv2")


@dataclass(frozen=True, slots=True)
class Screened:
    """A screened object: *content* is a finished DICOM file.

    *boxes* were masked on all frames, *looked_at* are the frames the detector saw. Without a mask the pixel
    bytes are those that came in.
    """

    content: bytes = field(repr=False)
    transfer_syntax_uid: str
    boxes: tuple[Box, ...]
    looked_at: tuple[int, ...]
    is_masked: bool


def is_installed() -> bool:
    """Whether the extra ``p2d[pixels]`` is there: the detector, its weights and its runtime."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


class PixelScreen:
    """One a process, for all threads: owns screening children and learned layouts; close it at the end."""

    def __init__(
        self,
        *,
        sandbox: ScreeningSandbox | None = None,
        layouts: Layouts | None = None,
        installed: bool | None = None,
    ) -> None:
        """Use *sandbox* and *layouts*, or fresh ones; *installed* overrules whether the extra is there."""
        self._sandbox = sandbox or ScreeningSandbox()
        self._layouts = layouts or Layouts()
        self._lock = threading.Lock()
        self.is_available: Final = is_installed() if installed is None else installed

    def screen(self, file: bytes, decision: Decision, device: DeviceKey) -> Screened | Reason:
        """Return the object *file* without text, or why it is withheld.

        *file* is a finished, de-identified DICOM file whose pixels are still as they came. Without the extra
        an object that only a sample asks for passes as it is; every other is withheld.
        """
        if not self.is_available:
            return _unseen(file) if decision.alarm else Reason.DETECTOR_MISSING
        known = self._layouts.boxes_of(device)
        task = Task(
            regions=decision.regions,
            known=known,
            overlay_bits=decision.overlay_bits,
            effort="alarm" if decision.alarm else "layout" if known else "rule",
        )
        try:
            outcome = self._sandbox.screen(file, task)
        except Unscreenable as refusal:
            return _REASONS.get(refusal.code, Reason.RENDERING)
        if decision.reason is Reason.BURNED_IN and not outcome.boxes:
            return Reason.BURNED_IN
        with self._lock:
            self._layouts.observe(device, outcome.found)
        return _screened(outcome)

    def layouts(self) -> str:
        """Return what was learned about devices, as JSON for the next run."""
        with self._lock:
            return self._layouts.to_json()

    def close(self) -> None:
        """End the children."""
        self._sandbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unseen(file: bytes) -> Screened:
    """Return the object as it is: no rule asks to look at it, and nobody can."""
    meta = dcmread(io.BytesIO(file), specific_tags=[], stop_before_pixels=True).file_meta
    return Screened(file, str(meta.TransferSyntaxUID), (), (), is_masked=False)


def _screened(outcome: Outcome) -> Screened:
    return Screened(
        content=outcome.content,
        transfer_syntax_uid=outcome.transfer_syntax_uid,
        boxes=outcome.boxes,
        looked_at=outcome.looked_at,
        is_masked=outcome.is_masked,
    )
