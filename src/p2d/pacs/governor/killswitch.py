"""The kill switch: files whose being there stops everything, looked at before every operation."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from p2d.model.errors import Refused, Unavailable


class KillSwitch:
    """Set while any of its files exists; a file that cannot be looked at counts as being there.

    The archive's own file is written by ``set``; others (one for all archives, one of the settings) are made
    by an operator's hand, with ``touch``.
    """

    def __init__(self, archive: str, state_dir: Path, others: Sequence[Path] = ()) -> None:
        self._own = state_dir / f"STOP.{archive}"
        self._others = (state_dir / "STOP", *others)

    def cause(self) -> str:
        """Return what stops the archive, empty if nothing does."""
        for path in (self._own, *self._others):
            try:
                path.lstat()
            except FileNotFoundError:
                continue
            except OSError:
                return f"file {path.name}, which cannot be looked at"
            return self._who() if path == self._own else f"file {path.name}"
        return ""

    def set(self, by: str) -> None:
        """Stop, lastingly; *by* is who wants it.

        Raises:
            Unavailable: the file cannot be written.

        """
        words = json.dumps({"by": by, "at": datetime.now(UTC).isoformat(timespec="seconds")})
        try:
            descriptor = os.open(self._own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(words)
                file.flush()
                os.fsync(file.fileno())
            self._sync_folder()
        except OSError as error:
            raise Unavailable(
                "stop", f"the stop file cannot be written ({error.strerror})", "stop the processes instead"
            ) from None

    def release(self) -> None:
        """Remove the archive's own file.

        Raises:
            Refused: another file stands, which only an operator's hand removes.
            Unavailable: the file cannot be removed.

        """
        try:
            self._own.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise Unavailable(
                "resume", f"the stop file cannot be removed ({error.strerror})", "remove it by hand"
            ) from None
        if cause := self.cause():
            raise Refused("resume", f"the archive is stopped by {cause}", "remove that file by hand")

    def _who(self) -> str:
        try:
            words = json.loads(self._own.read_text(encoding="utf-8"))
            return f"{words['by']} at {words['at']}"
        except (OSError, ValueError, KeyError, TypeError):
            return f"file {self._own.name}"

    def _sync_folder(self) -> None:
        folder = os.open(self._own.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
