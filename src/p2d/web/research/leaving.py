"""A question whose asker has closed the connection ends: nobody waits for its answer any more."""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from p2d.flows.research.cohort import Asker

ASKER: Final = "asker"
"""Where the state of a request keeps who asks."""
_QUESTIONS: Final = "/cohorts/"
_PAGES: Final = frozenset({"/cohort", "/search"})
"""The start page's forms, which ask."""
_AGAIN_SECONDS: Final = 0.05


class CancelWhenLeft:
    """Calls *cancel* with the asker of a request that asks and whose connection closes early.

    *cancel* is quick and returns whether there was a question; one that waits for its turn is tried again.
    """

    def __init__(self, app: ASGIApp, cancel: Callable[[Asker], bool]) -> None:
        self._app = app
        self._cancel = cancel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and listen for the end of its connection once its body has come."""
        if scope["type"] != "http" or not (scope["path"].startswith(_QUESTIONS) or scope["path"] in _PAGES):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        watchers: list[asyncio.Task[None]] = []

        async def watch() -> None:
            message = await receive()
            while message["type"] == "http.disconnect":  # until the request ends
                asker = state.get(ASKER)
                if asker is not None and self._cancel(asker):
                    return
                await asyncio.sleep(_AGAIN_SECONDS)

        async def listening() -> Message:
            message = await receive()
            is_whole = message["type"] == "http.request" and not message.get("more_body", False)
            if is_whole and not watchers:
                watchers.append(asyncio.create_task(watch()))
            return message

        try:
            await self._app(scope, listening, send)
        finally:
            for watcher in watchers:
                watcher.cancel()
