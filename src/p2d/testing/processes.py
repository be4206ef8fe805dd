"""Start P2D's processes as an operator would (``p2d serve …``), wait until each answers, stop them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from p2d.model.errors import Unavailable
from p2d.testing.installation import Installation

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
ORDER: Final = ("identity", "warehouse", "gateway")


class Process:
    """One child process with its log file; stopped by SIGTERM, then SIGKILL."""

    def __init__(
        self, name: str, command: list[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as stream:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    def kill(self) -> None:
        """End the child by SIGKILL, as a power cut would."""
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """End the child by SIGTERM, and by SIGKILL when it does not listen."""
        if self.is_alive:
            self._child.terminate()
            try:
                self._child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()

    def wait_for(self, url: str) -> None:
        """Wait until *url* answers 200.

        Raises:
            Unavailable: the child ended or did not answer within a minute; its log says why.

        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_alive:
                raise Unavailable(self.name, "ended while starting", f"read {self.log}")
            with suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
        raise Unavailable(self.name, f"did not answer within {_START_SECONDS:.0f} s", f"read {self.log}")


class Processes:
    """The three processes of an installation, started together; a context manager."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._running: dict[str, Process] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in ORDER:
                self._begin(name, stack)
            for name in ORDER:
                self._running[name].wait_for(f"{self.installation.url(name)}/health")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> Process:
        return self._running[name]

    def restart(self, name: str) -> None:
        """Start *name* again after it was killed or stopped, and wait until it answers."""
        self._running[name].stop()
        self._begin(name, self._stack)
        self._running[name].wait_for(f"{self.installation.url(name)}/health")

    def _begin(self, name: str, stack: ExitStack) -> None:
        settings = self.installation.settings(name)
        command = [sys.executable, "-m", "p2d", "serve", name, "--settings", str(settings)]
        process = Process(name, command, settings.parent / f"{name}.log")
        self._running[name] = process
        stack.callback(process.stop)
