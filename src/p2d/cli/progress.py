"""The progress bar of bulk runs: patients, images, images a second, time left."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from p2d.jobs.ledger import Progress as RunProgress


class BulkProgress:
    """A context manager that shows a run's progress on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self._began = time.monotonic()
        self._bar = Progress(
            TextColumn("patients"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[images]:,} images  {task.fields[rate]:,.0f} images/s"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task = self._bar.add_task("run", total=None, images=0, rate=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, progress: RunProgress) -> None:
        """Show *progress*; images are those received in this run so far."""
        self.show_counts(progress.patients_done, progress.patients_total, progress.images_received)

    def show_counts(self, done: int, total: int, images: int) -> None:
        """Show *done* of *total* patients and *images* received."""
        seconds = max(time.monotonic() - self._began, 1e-6)
        self._bar.update(self._task, completed=done, total=total, images=images, rate=images / seconds)
