"""What the serving processes share: no core dumps, a quiet HTTP server, a clear word about a used port."""

import gc
import logging
import resource
import socket
import sys
import threading
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Final

import uvicorn
from fastapi import FastAPI

from p2d.model.errors import Misconfigured

_LOG = logging.getLogger(__name__)
_YOUNG: Final = 100_000
_GENERATIONS: Final = 20
"""Objects made before the collector looks at the young ones, and its rounds before it looks at older ones."""


def forbid_core_dumps() -> None:
    """Forbid core dumps: memory of these processes can hold identifiers and keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def collect_seldom() -> None:
    """Let the garbage collector look at new objects in large lots, and at those there are by now no more.

    An answer of 100,000 pseudonyms is as many objects without a cycle; Python's own thresholds would look at
    them, and at all modules, over and over, which takes longer than finding them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _GENERATIONS, _GENERATIONS)


class _NoValues(logging.Formatter):
    """Names an exception by type and place only: messages and arguments can hold identifiers."""

    def formatException(  # noqa: N802 - logging's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        kind, _, trace = ei
        return _place(kind, trace)


def _place(kind: type[BaseException] | None, trace: TracebackType | None) -> str:
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(trace)]
    return f"{kind.__name__ if kind else 'error'} at {' > '.join(places[-6:])}"


def quiet_logs() -> None:
    """Log warnings and worse to standard error, without exception texts and library chatter.

    pydicom's warnings carry raw values and pynetdicom's log carries identifiers, so neither is heard.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_NoValues("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a record that cannot be formatted would be printed with its arguments
    threading.excepthook = lambda one: _LOG.error(
        "a thread ended: %s", _place(one.exc_type, one.exc_traceback)
    )
    sys.unraisablehook = lambda one: _LOG.error("not raised: %s", _place(one.exc_type, one.exc_traceback))
    warnings.simplefilter("ignore")
    for library in ("pydicom", "pynetdicom", "httpx", "httpcore", "procrastinate", "psycopg"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def serve_app(app: FastAPI, host: str, port: int, field: str) -> None:
    """Serve *app* on one address until SIGTERM or SIGINT.

    Nothing is logged of requests: addresses hold pseudonyms, which belong in the audit, not in a log.

    Raises:
        Misconfigured: the address is not ours or in use; *field* names the setting.

    """
    quiet_logs()
    collect_seldom()
    # IPPROTO_TCP is stated because asyncio sets TCP_NODELAY on such sockets only; without it every small
    # answer waits for a delayed acknowledgement (40 ms)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(
            field,
            f"cannot listen on {host}:{port} ({error.strerror})",
            "stop what uses it or change the port",
        ) from None
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
