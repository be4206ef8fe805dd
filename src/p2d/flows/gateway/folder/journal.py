"""Which patients of a folder are done: one line each, written when all their files are on the disk.

Holds pseudonyms, counts and keyed hashes. A run that was killed goes on with the patients that have no line,
or whose files, key or profile have changed since.
"""

import fcntl
import json
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from p2d.deid.report.tally import DeidTally
from p2d.model.errors import InvalidRequest, Unavailable
from p2d.model.released import Reason

NAME: Final = ".p2d-deid.jsonl"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one input, named by its place in the order of all; ``output`` in the output folder."""

    number: int
    output: str = ""
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class PatientDone:
    """One patient's line: ``trace`` changes with input files, profile and key."""

    patient: str
    trace: str
    files: Sequence[FileOutcome]
    tally: DeidTally


class Journal:
    """The journal of an output folder; *head* names profile and key, so that no two runs mix."""

    def __init__(self, folder: Path, head: Mapping[str, str]) -> None:
        """Open or begin the journal in *folder*, made with mode 0700 where absent.

        Raises:
            InvalidRequest: *folder* holds something that is not of this tool, or of another key or profile.
            Unavailable: not writable, or another run is writing there.

        """
        self._path = folder / NAME
        self._head = {"p2d deid": _VERSION, **head}
        self._done: dict[str, PatientDone] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock(folder)
            self._open(folder)
        except (FileExistsError, NotADirectoryError):
            raise InvalidRequest("OUT", "is not a folder", "name a new or empty folder") from None
        except BlockingIOError:
            raise Unavailable("OUT", "is being written by another run", "wait for its end") from None
        except OSError as error:
            raise Unavailable(
                "OUT", f"cannot be written ({error.strerror})", "check space and rights"
            ) from None

    def _lock(self, folder: Path) -> None:
        """Keep other runs out while this journal is in use: two would take each other's unfinished files."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._unlock = weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Let other runs write there."""
        self._unlock()

    def _open(self, folder: Path) -> None:
        if not self._path.exists():
            if any(folder.iterdir()):
                raise InvalidRequest("OUT", "is not empty", "name a new or empty folder")
            self._append(self._head)
            return
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        entries = [entry for line in lines if (entry := _parsed(line)) is not None]
        if not entries or entries[0] != self._head:
            raise InvalidRequest(
                "OUT",
                "holds files of another key, profile or version",
                "name an empty folder, or the key and profile of before",
            )
        for entry in entries[1:]:
            done = _done(entry)
            self._done[done.patient] = done
        if lines and not self._path.read_bytes().endswith(b"\n"):
            self._append_bytes(b"\n")  # a kill tore the last line

    def done(self, patient: str, trace: str) -> PatientDone | None:
        """Return the line of *patient* where nothing has changed since, or None."""
        found = self._done.get(patient)
        return found if found is not None and found.trace == trace else None

    def finish(self, done: PatientDone) -> None:
        """Write the line of a patient whose files are all there.

        Raises:
            Unavailable: not writable.

        """
        try:
            self._append(
                {
                    "patient": done.patient,
                    "trace": done.trace,
                    "files": [[f.number, f.output, f.reason.name if f.reason else ""] for f in done.files],
                    "tally": done.tally.as_json(),
                }
            )
        except OSError as error:
            raise Unavailable(
                "OUT", f"cannot be written ({error.strerror})", "check space and rights"
            ) from None

    def _append(self, entry: Mapping[str, Any]) -> None:
        self._append_bytes(json.dumps(entry, sort_keys=True).encode() + b"\n")

    def _append_bytes(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - opens a descriptor
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _parsed(line: str) -> dict[str, Any] | None:
    """Return the entry in *line*, or None where a kill tore it."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _done(entry: Mapping[str, Any]) -> PatientDone:
    try:
        files = [
            FileOutcome(int(n), _name(output), Reason[name] if name else None)
            for n, output, name in entry["files"]
        ]
        tally = DeidTally.from_json(entry["tally"])
        return PatientDone(str(entry["patient"]), str(entry["trace"]), files, tally)
    except (AttributeError, KeyError, ValueError, TypeError):
        raise InvalidRequest("OUT", "holds a damaged journal", "name an empty folder") from None


def _name(output: object) -> str:
    if not isinstance(output, str) or "\0" in output:
        raise ValueError("no name of a file")
    return output
