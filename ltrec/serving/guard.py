"""Around every request: the size of its body, counts, and a line of the access log, which holds neither bodies nor headers."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from fastapi import Response

from ltrec.serving.faults import problem
from ltrec.serving.metrics import ServerMetrics
from ltrec.serving.state import ServerState

ACCESS = logging.getLogger("ltrec.serving.access")
_BODY_SECONDS = 30.0
Message = dict[str, Any]


class Guard:
    """An ASGI application around another one.

    Args:
        app: it.
        metrics: that are told of every request.
        body_bytes: of a request, at most.
        routes: known paths; others are counted together.
        state: of the server.
    """

    def __init__(self, app: Any, *, metrics: ServerMetrics, body_bytes: int, routes: Collection[str], state: ServerState) -> None:
        self.app, self._metrics, self._most, self._routes = app, metrics, body_bytes, frozenset(routes)
        self._state = state

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._state.stopping:
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        try:
            await self._answer(scope, receive, told)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    async def _answer(self, scope: Message, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _body(scope, receive, self._most)
        except TimeoutError:
            body = problem(408, f"the body did not come within {_BODY_SECONDS:.0f} seconds", headers={"connection": "close"})
        if body is None:
            return  # the client has gone
        if isinstance(body, Response):
            await body(scope, receive, send)
            return
        own: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return own.pop() if own else await receive()

        await self.app(scope, again, send)

    def _note(self, scope: Message, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if ACCESS.isEnabledFor(logging.INFO):
            ACCESS.info("%s", _line(scope, status, seconds))


async def _body(scope: Message, receive: Any, most: int) -> bytes | Response | None:
    """The whole body; a refusal if it is too long, None if the client has gone."""
    refusal = problem(413, f"the body is longer than {most:,} bytes", headers={"connection": "close"})
    announced = dict(scope["headers"]).get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > most:
        return refusal
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return refusal
        if not message.get("more_body"):
            return b"".join(parts)


def _line(scope: Message, status: int, seconds: float) -> str:
    """One line of JSON."""
    return json.dumps(
        {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": (scope.get("client") or ["-"])[0],
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(1e3 * seconds, 3),
        }
    )
