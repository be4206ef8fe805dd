"""What the serving processes share: no core dumps, a quiet HTTP server, a clear word about a used port."""

import resource
import socket

import uvicorn
from fastapi import FastAPI

from p2d.model.errors import Misconfigured


def forbid_core_dumps() -> None:
    """Forbid core dumps: memory of these processes can hold identifiers and keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve_app(app: FastAPI, host: str, port: int, field: str) -> None:
    """Serve *app* on one address until SIGTERM or SIGINT.

    Nothing is logged of requests: addresses hold pseudonyms, which belong in the audit, not in a log.

    Raises:
        Misconfigured: the address is not ours or in use; *field* names the setting.

    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise Misconfigured(
            field,
            f"cannot listen on {host}:{port} ({error.strerror})",
            "stop what uses it or change the port",
        ) from None
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, timeout_graceful_shutdown=10
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
