"""The hold: de-identified files that wait, encrypted, until a release review decided on them.

One folder a hold, each under a random key of its own, which a master key wraps. A hold is there once all its
files are (its ``state`` is written last); it ends by its expiry: the key goes first, then the files.
"""

import contextlib
import fcntl
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2d.export.held import Decision, HeldFile, Hold, Picture
from p2d.export.manifest import Line
from p2d.export.sealed import KEY_BYTES, seal, unseal
from p2d.model.errors import Misconfigured, NotFound, ProtocolViolation, Refused, Unavailable
from p2d.model.review import Standing

_ID: Final = re.compile(r"H[0-9a-f]{16}")
_MASTER: Final = "hold.key"
_KEY: Final = "key"
_INDEX: Final = "index"
_STATE: Final = "state"
_NONCE: Final = 12
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class HoldStore:
    """All holds of a gateway below one folder (0700); safe between threads and processes."""

    def __init__(
        self,
        root: Path,
        hours: float = 72.0,
        clock: Callable[[], float] = time.time,
        on_expiry: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep holds below *root* for *hours*; sweep what a killed process left.

        *on_expiry* is told the id of each hold that was wiped because its time was over.

        Raises:
            Misconfigured: the folder or its master key cannot be used.

        """
        self._root = root
        self._seconds = hours * 3600
        self._clock = clock
        self._on_expiry = on_expiry
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._master = _master_key(root / _MASTER)
        except OSError as error:
            raise Misconfigured(
                "review", f"{root} cannot be used ({error.strerror})", "check the folder's owner and space"
            ) from None
        self.sweep()

    def __repr__(self) -> str:
        return f"HoldStore({self._root})"

    @contextmanager
    def filling(self, user: str) -> Iterator["HoldWriter"]:
        """Open a new hold for *user*; without ``finish`` nothing of it stays.

        Raises:
            Unavailable: the disk refuses.

        """
        hold_id = f"H{secrets.token_hex(8)}"
        folder = self._root / hold_id
        key = secrets.token_bytes(KEY_BYTES)
        with contextlib.ExitStack() as held:
            with _trouble(), _locked(self._root):  # a sweep sees the folder only with its lock taken
                folder.mkdir(mode=0o700)
                held.enter_context(_locked(folder))
            now = self._clock()
            writer = HoldWriter(folder, key, Hold(hold_id, user, now, now + self._seconds, (), {}, {}))
            try:
                with _trouble():
                    nonce = os.urandom(_NONCE)
                    _write(folder / _KEY, nonce + AESGCM(self._master).encrypt(nonce, key, hold_id.encode()))
                yield writer
            finally:
                if not writer.is_finished:
                    _wipe(folder)

    def holds(self) -> list[Hold]:
        """Return all holds that are there, oldest first; expired ones are wiped.

        One whose files were changed is left out: it shows when it is opened, and ends by its expiry.

        Raises:
            Unavailable: the disk refuses.

        """
        self.sweep()
        found = []
        for folder in self._folders():
            with contextlib.suppress(NotFound, ProtocolViolation):
                found.append(self.find(folder.name))
        return sorted(found, key=lambda hold: hold.made_at)

    def find(self, hold_id: str) -> Hold:
        """Return the hold *hold_id* as it stands.

        Raises:
            NotFound: none of that name, not whole yet, or expired.
            ProtocolViolation: its files were changed.

        """
        folder = self._folder(hold_id)
        try:
            key = self._key(folder)
            state = _read_json(key, folder, _STATE)
            hold = Hold.of(hold_id, _read_json(key, folder, _INDEX), state)
        except FileNotFoundError:
            raise unknown_hold() from None
        if self._clock() >= hold.expires_at:
            self.wipe(hold_id)
            self._on_expiry(hold_id)
            raise unknown_hold()
        return hold

    def content(self, hold: Hold, file: HeldFile) -> bytes:
        """Return the bytes of *file*, proved.

        Raises:
            NotFound: the hold ended meanwhile.
            ProtocolViolation: the file was changed.

        """
        folder = self._folder(hold.hold_id)
        try:
            with (folder / f"{file.number}").open("rb") as sealed:
                return b"".join(unseal(self._key(folder), f"{hold.hold_id}/{file.number}", sealed))
        except FileNotFoundError:
            raise unknown_hold() from None

    def decide(self, hold_id: str, series: Sequence[str], decision: Decision) -> Hold:
        """Write *decision* on each of *series*, all or none, and return the hold.

        Raises:
            NotFound: no such hold, or no such series in it.
            Refused: a series is decided already; a decision is final.

        """
        folder = self._folder(hold_id)
        with _trouble(), _locked(folder):
            hold = self.find(hold_id)
            if not series or not all(one in hold.decisions for one in series):
                raise NotFound("series", "is unknown in this hold", "p2d review show lists them")
            if any(hold.decisions[one].standing is not Standing.PENDING for one in series):
                raise Refused("series", "is decided already", "ask for the images anew")
            hold = hold.decided(series, decision)
            _replace(self._key(folder), folder, _STATE, hold.state())
            return hold

    def wipe(self, hold_id: str) -> None:
        """End a hold: its key goes first, then its files."""
        with _trouble():
            _wipe(self._folder(hold_id))

    def sweep(self) -> list[str]:
        """Wipe expired holds and what a killed process left; return the ids."""
        gone, expired = [], []
        with _trouble(), _locked(self._root):
            for folder in self._folders():
                is_due = self._clock() >= self._end_of(folder)
                if is_due or not ((folder / _STATE).exists() or _is_busy(folder)):
                    _wipe(folder)
                    gone.append(folder.name)
                    expired += [folder.name] if is_due else []
        for hold_id in expired:
            self._on_expiry(hold_id)
        return gone

    def _end_of(self, folder: Path) -> float:
        """Return when the hold in *folder* ends: at once for one without key, never for one being filled."""
        try:
            return float(_read_json(self._key(folder), folder, _INDEX)["expires_at"])
        except FileNotFoundError:
            is_whole = (folder / _STATE).exists()
            return 0.0 if is_whole else math.inf
        except ProtocolViolation:  # changed by somebody: it ends no later than one that was not
            return (folder / _KEY).stat().st_mtime + self._seconds

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._root.iterdir() if _ID.fullmatch(path.name))

    def _folder(self, hold_id: str) -> Path:
        if not _ID.fullmatch(hold_id) or not (self._root / hold_id).is_dir():
            raise unknown_hold()
        return self._root / hold_id

    def _key(self, folder: Path) -> bytes:
        wrapped = (folder / _KEY).read_bytes()
        try:
            return AESGCM(self._master).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], folder.name.encode())
        except (InvalidTag, ValueError):
            raise ProtocolViolation(
                "hold", "its key does not open with this master key", "ask for the images anew"
            ) from None


class HoldWriter:
    """Takes the files of one new hold, one after the other."""

    def __init__(self, folder: Path, key: bytes, hold: Hold) -> None:
        self._folder = folder
        self._key = key
        self._hold = hold
        self._files: list[HeldFile] = []
        self.is_finished = False

    @property
    def hold_id(self) -> str:
        """The id of the hold."""
        return self._hold.hold_id

    def add(self, line: Line, parts: Sequence[bytes | memoryview], picture: Picture) -> None:
        """Encrypt one file, known by its *line* of the manifest.

        Raises:
            Unavailable: the disk refuses.

        """
        file = HeldFile(len(self._files), line, sum(len(part) for part in parts), picture)
        with _trouble(), _new(self._folder / f"{file.number}") as target:
            seal(self._key, f"{self.hold_id}/{file.number}", parts, target)
        self._files.append(file)

    def finish(self, account: Mapping[str, Any]) -> Hold:
        """Make the hold visible, with *account* beside it.

        Raises:
            Unavailable: the disk refuses; nothing is visible.

        """
        decisions = {file.series: Decision() for file in self._files}
        made = self._hold
        hold = Hold(
            made.hold_id, made.user, made.made_at, made.expires_at, tuple(self._files), decisions, account
        )
        with _trouble():
            _replace(self._key, self._folder, _INDEX, hold.index())
            _replace(self._key, self._folder, _STATE, hold.state())
        self.is_finished = True
        return hold


def unknown_hold() -> NotFound:
    """Return the one error for a hold that is unknown, expired or somebody else's."""
    return NotFound(
        "hold", "is unknown, has expired or is not yours", "p2d review list shows those that you may see"
    )


def _master_key(path: Path) -> bytes:
    """Return the master key in *path*, made once, readable by its owner only (0400)."""
    if not path.exists():
        fresh = path.with_name(f".{_MASTER}.{secrets.token_hex(4)}")
        _write(fresh, secrets.token_bytes(KEY_BYTES), 0o400)
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(fresh, path)
        fresh.unlink()
        _sync(path.parent)
    if path.stat().st_mode & 0o077:
        raise Misconfigured("review", f"{path} is open to others", f"chmod 0400 {path}")
    master = path.read_bytes()
    if len(master) != KEY_BYTES:
        raise Misconfigured("review", f"{path} is torn", "remove it and the holds beside it")
    return master


def _read_json(key: bytes, folder: Path, leaf: str) -> dict[str, Any]:
    with (folder / leaf).open("rb") as sealed:
        found: dict[str, Any] = json.loads(b"".join(unseal(key, f"{folder.name}/{leaf}", sealed)))
    return found


def _replace(key: bytes, folder: Path, leaf: str, content: Mapping[str, Any]) -> None:
    """Write *content* encrypted as *leaf*, whole or not at all."""
    part = folder / f".{leaf}.part"
    part.unlink(missing_ok=True)
    with _new(part) as target:
        seal(key, f"{folder.name}/{leaf}", [json.dumps(content).encode()], target)
    part.rename(folder / leaf)
    _sync(folder)


def _wipe(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process wipes it too
        (folder / _KEY).unlink(missing_ok=True)
        _sync(folder)
        shutil.rmtree(folder)


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    with _new(path, mode) as target:
        target.write(content)


@contextmanager
def _new(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Open a new file, which is on the disk when the block ends."""
    with os.fdopen(os.open(path, _NEW, mode), "wb") as target:
        yield target
        target.flush()
        os.fsync(target.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold *folder* against other threads and processes; the kernel lets go when this one dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_busy(folder: Path) -> bool:
    """Whether somebody is filling or deciding on it now."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "hold", f"cannot be read or written: {os.strerror(error.errno or 0)}", "check the state folder"
        ) from None
