"""A governor within one process; what it knows outlives the process in a state file."""

import threading
from pathlib import Path
from typing import Final

from p2d.model.errors import Unavailable
from p2d.pacs.governor.book import Book, new_book
from p2d.pacs.governor.clock import Clock
from p2d.pacs.governor.killswitch import KillSwitch
from p2d.pacs.governor.port import Ask, Lease, Load, Report, Wait, Why
from p2d.pacs.governor.state import VERSION, plain, restart, state_of
from p2d.pacs.governor.statefile import StateFile
from p2d.settings.governor import Governing

_SAVE_SECONDS: Final = 0.25
_STOPPED_POLL: Final = 1.0
HERE: Final = "here"


class LocalGovernor:
    """Governs *archive* for all threads of this process, and for *holders* that a service speaks for.

    The state file is written before a lease is handed out, and at most four times a second else. A restart
    gives nothing away: it begins with nothing saved up, and with the leases that were out.
    """

    def __init__(
        self,
        archive: str,
        settings: Governing,
        switch: KillSwitch,
        *,
        state_file: Path | None = None,
        clock: Clock = Clock(),  # noqa: B008 - frozen
    ) -> None:
        self._switch = switch
        self._file = _opened(state_file)
        self._clock = clock
        self._lock = threading.Lock()
        self._book = self._begun(archive, settings)
        self._saved_at = clock.seconds()

    def ask(self, ask: Ask, holder: str = HERE) -> Lease | Wait:
        """Return a lease or how long to wait; see ``Governor``."""
        if self._switch.cause():
            return Wait(_STOPPED_POLL, Why.STOPPED)
        with self._lock:
            answer = self._book.ask(ask, holder, self._clock.seconds(), self._clock.date())
            self._save(at_once=isinstance(answer, Lease))
        return answer

    def report(self, lease_id: str, report: Report, holder: str = HERE) -> float:
        """Settle what was used; see ``Governor``."""
        with self._lock:
            try:
                pause = self._book.report(lease_id, report, holder, self._clock.seconds(), self._clock.date())
            except LookupError:
                raise ended() from None
            self._save()
        return pause

    def load(self) -> Load:
        """Return the load now; see ``Governor``."""
        with self._lock:
            return self._book.load(self._clock.seconds(), self._clock.date(), self._switch.cause())

    def stop(self, by: str) -> None:
        """Set the kill switch; see ``Governor``."""
        self._switch.set(by)

    def resume(self) -> None:
        """Release the kill switch; see ``Governor``."""
        self._switch.release()

    def drop(self, holder: str) -> None:
        """Take back what *holder*, who is gone, held."""
        with self._lock:
            self._book.drop(holder, self._clock.seconds())
            self._save()

    def close(self) -> None:
        """Take back what this process held and keep the state, which another process may go on with."""
        with self._lock:
            self._book.drop(HERE, self._clock.seconds())
            self._save(at_once=True)
            if self._file is not None:
                self._file.close()
                self._file = None

    def _begun(self, archive: str, settings: Governing) -> Book:
        now = self._clock.seconds()
        book = new_book(archive, settings, now)
        try:
            kept = self._file.read() if self._file else None
            if kept and kept["state"]["version"] == VERSION:
                restart(book, kept["state"], kept["leases"], now)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # of another version: begin anew
            book = new_book(archive, settings, now)
        return book

    def _save(self, *, at_once: bool = False) -> None:
        now = self._clock.seconds()
        if self._file is None or (now - self._saved_at < _SAVE_SECONDS and not at_once):
            return
        self._saved_at = now
        leases = {lease_id: plain(held) for lease_id, held in self._book.leases.items()}
        self._file.write({"state": state_of(self._book, now), "leases": leases})


def ended() -> Unavailable:
    """Return the error of a report on a lease that is no more."""
    return Unavailable("governor", "the lease has ended", "the operation is given up; try again")


def _opened(path: Path | None) -> StateFile | None:
    if path is None:
        return None
    try:
        return StateFile(path)
    except OSError as error:
        raise Unavailable(
            "governor", f"its state file cannot be opened ({error.strerror})", "check state_dir"
        ) from None
