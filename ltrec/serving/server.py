"""The process of `ltrec serve`: its port, its signals, its graceful stop.

SIGTERM, Ctrl-C    no new connections; what was accepted is answered, with `Connection: close`; exit code 0
SIGHUP             the artefact is opened anew (`reloading.py`)
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from ltrec.core.errors import UserError
from ltrec.serving.app import RecommendationApp
from ltrec.serving.reloading import Reloader
from ltrec.serving.served import ServedModel
from ltrec.serving.settings import ServerLimits

_QUIET_SECONDS = 1.0
"""How long idle connections may still bring a request after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 = one that is free."""

    host: str
    port: int


def run_server(artefact: str | os.PathLike[str], address: Address, limits: ServerLimits, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM.

    Args:
        artefact: its folder, or its address in a store.
        address: where to listen.
        limits: of requests.
        say: called with lines for the operator.

    Raises:
        UserError: the artefact or the address is at fault.
    """
    with _listening(address) as own:
        model = ServedModel(artefact)
        app = RecommendationApp(model, limits)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=limits.stop_seconds, backlog=2048
        )
        started = f"{model.about['run']} ({model.short_digest}) on {_url(own)}, process {os.getpid()}"
        GracefulServer(config, app, Reloader(app, artefact, say), lambda: say(started)).run([own])
        say("stopped; every request that was accepted has its answer")


class GracefulServer(uvicorn.Server):
    """A server that ends with exit code 0 when it is told to, and reloads.

    Args:
        config: of uvicorn.
        app: that it serves.
        reloader: for SIGHUP.
        on_started: called when it listens.
    """

    def __init__(self, config: uvicorn.Config, app: RecommendationApp, reloader: Reloader, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app, self._reloader, self._on_started = app, reloader, on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear them while it serves. uvicorn would raise them again at the end, and the process would not end with 0."""
        handlers: dict[signal.Signals, Any] = {
            signal.SIGTERM: self.handle_exit,
            signal.SIGINT: self.handle_exit,
            signal.SIGHUP: self._reload,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, answer for a moment those who are connected, then close what is idle and wait for the rest."""
        self._app.state.stopping = True
        for server in self.servers:
            server.close()
        for own in sockets or []:
            own.close()
        end = asyncio.get_running_loop().time() + _QUIET_SECONDS
        while self.server_state.connections and not self.force_exit and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _reload(self, *_: object) -> None:
        self._reloader.request()


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    """The bound socket, before the model is loaded, so that a wrong address is said at once.

    Raises:
        UserError: the port is taken, or the host is no address of this machine.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
    except OSError as error:
        raise UserError(f"--host {address.host!r} is not an address of this machine ({error.strerror})") from error
    with socket.socket(family, kind, protocol) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            own.bind(place)
        except OSError as error:
            raise UserError(_refused(address, error)) from error
        yield own


def _url(own: socket.socket) -> str:
    host, port = own.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _refused(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {address.port} of {address.host} is in use; choose another --port"
    if error.errno == errno.EACCES:
        return f"port {address.port} needs root; choose a --port above 1023"
    return f"{address.host}:{address.port} cannot be listened on ({error.strerror}); choose another --host or --port"
