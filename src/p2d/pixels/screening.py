"""Screening in child processes with limits on memory, processor time and duration; a bomb costs one object.

The models need more memory than drawing does, so these children are a kind of their own.
"""

import queue
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from p2d.pixels.child import Child, LimitMet
from p2d.pixels.protocol import CODES, REQUEST, Outcome, Task, Unscreenable, outcome_from_bytes, task_as_json

_MAX_ANSWER: Final = 2 << 30


class ScreeningSandbox:
    """A few screening children, shared between threads; close it at the end.

    *memory_bytes* bounds a child's address space (the models take 0.4 GiB of it), *cpu_seconds* the processor
    time and *deadline_seconds* the duration of one object, waiting for the child's start included.
    """

    def __init__(
        self,
        *,
        children: int = 2,
        memory_bytes: int = 3 << 30,
        cpu_seconds: int = 120,
        deadline_seconds: float = 240.0,
    ) -> None:
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        self._children = [
            Child(
                "p2d.pixels.screening_worker",
                memory_bytes=memory_bytes,
                cpu_seconds=cpu_seconds,
                deadline_seconds=deadline_seconds,
                max_answer=_MAX_ANSWER,
            )
            for _ in range(children)
        ]
        for child in self._children:
            self._idle.put(child)

    def screen(self, content: bytes, task: Task) -> Outcome:
        """Return what became of the DICOM file *content*, whole.

        Raises:
            Unscreenable: as ``p2d.pixels.masking.screen``, and ``limit`` when the child met one.

        """
        form = task_as_json(task)
        head = REQUEST.pack(len(form), len(content)) + form
        child = self._idle.get()
        try:
            status, payload = child.ask(head, content)
        except LimitMet as error:
            raise Unscreenable("limit") from error
        finally:
            self._idle.put(child)
        if status:
            code = payload.decode("ascii", errors="replace")
            raise Unscreenable(code if code in CODES else "damaged")
        outcome = outcome_from_bytes(payload)
        if outcome.kept_from < 0:
            return outcome
        return replace(outcome, content=outcome.content + content[outcome.kept_from :])

    def close(self) -> None:
        """End all children."""
        for child in self._children:
            child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
