"""Ask an application without a socket: requests go straight into it, on an event loop of their own."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class AppClient:
    """Sends requests to *app* in this process; the application's start and stop are not run."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Return the answer to one request; *more* is what httpx takes (json, content, headers …)."""
        return asyncio.run(self._ask(method, path, more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Return the answer to a GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Return the answer to a POST."""
        return self.request("POST", path, **more)

    async def _ask(self, method: str, path: str, more: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **more)
