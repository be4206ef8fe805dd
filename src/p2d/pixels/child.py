"""A child process with limits that answers requests on its pipes; replaced when it dies or is late."""

import contextlib
import os
import resource
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, BinaryIO, Final

ANSWER: Final = struct.Struct("!BQ")
"""Status and length of an answer's payload; big-endian."""

_KEPT: Final = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Every further thread of a numeric library claims address space."""


class LimitMet(Exception):  # noqa: N818 - it says what happened, no fault of the program
    """The child died or was late: a limit of memory, processor time or duration."""


class Child:
    """One process of *module*; used by one thread at a time.

    *memory_bytes* bounds its address space, *cpu_seconds* the processor time and *deadline_seconds* the
    duration of one request, its start included. After *most* requests it is replaced.
    """

    def __init__(
        self,
        module: str,
        *,
        memory_bytes: int,
        cpu_seconds: int,
        deadline_seconds: float,
        most: int = 1000,
        max_answer: int = 256 << 20,
    ) -> None:
        self._command = [sys.executable, "-P", "-m", module, str(memory_bytes), str(cpu_seconds)]
        self._deadline = deadline_seconds
        self._most = most
        self._max_answer = max_answer
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0

    def ask(self, head: bytes, content: bytes) -> tuple[int, bytes]:
        """Return status and payload of the answer to *head* followed by *content*.

        Raises:
            LimitMet: no answer came.

        """
        process = self._running()
        late = threading.Timer(self._deadline, process.kill)
        late.start()
        try:
            status, payload = self._exchange(process, head, content)
        except (OSError, EOFError) as error:
            self.end()
            raise LimitMet from error
        finally:
            late.cancel()
        self._answered += 1
        if self._answered >= self._most:
            self.end()
        return status, payload

    def end(self) -> None:
        """Kill the process, if there is one."""
        process, self._process, self._answered = self._process, None, 0
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(os.environ),
            )
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], head: bytes, content: bytes) -> tuple[int, bytes]:
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(head)
        process.stdin.write(content)
        process.stdin.flush()
        status, length = ANSWER.unpack(_exactly(process.stdout, ANSWER.size))
        if length > self._max_answer:
            raise EOFError
        return status, _exactly(process.stdout, length)


def take_limits(memory_bytes: int) -> None:
    """Bound this process's address space; it writes neither files nor core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))


def allow_processor(cpu_seconds: int) -> None:
    """Allow this process *cpu_seconds* of processor time from now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + cpu_seconds, resource.RLIM_INFINITY))


def send(answers: BinaryIO, status: int, payload: bytes) -> None:
    """Write one answer."""
    answers.write(ANSWER.pack(status, len(payload)) + payload)
    answers.flush()


def _environment(everything: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in everything.items() if name in _KEPT} | _ONE_THREAD


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    received = pipe.read(size)
    if len(received) < size:
        raise EOFError
    return received
