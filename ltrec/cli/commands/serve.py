"""`ltrec serve ARTEFACT`: an exported model behind HTTP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ltrec.core.extension.deferred import Deferred
from ltrec.core.extension.extras import require
from ltrec.run.process.allocator import keep_freed_memory
from ltrec.serving.settings import ServerLimits
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.serving.access_log import log_requests_to
    from ltrec.serving.server import Address, run_server
else:
    log_requests_to = Deferred("ltrec.serving.access_log:log_requests_to")
    Address, run_server = (Deferred(f"ltrec.serving.server:{name}") for name in ("Address", "run_server"))

_DEFAULT = ServerLimits()


def serve(
    artefact: Annotated[
        str, typer.Argument(help="Folder that ltrec export wrote, a link to it, or its address (s3://...).", show_default=False)
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 = all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 = one that is free.")] = 8000,
    max_body: Annotated[int, typer.Option(help="Bytes of a request, at most.")] = _DEFAULT.body_bytes,
    max_history: Annotated[int, typer.Option(help="Items of a history, at most.")] = _DEFAULT.history,
    max_histories: Annotated[int, typer.Option(help="Histories of a request, at most.")] = _DEFAULT.histories,
    batch: Annotated[int, typer.Option(help="Histories of a pass of the model, at most.")] = _DEFAULT.batch,
    queue: Annotated[int, typer.Option(help="Histories that may wait; then requests get 429.")] = _DEFAULT.waiting,
    stop_seconds: Annotated[int, typer.Option(help="After SIGTERM, for what was accepted.")] = _DEFAULT.stop_seconds,
    access_log: Annotated[bool, typer.Option(help="A line of JSON per request on stdout.")] = True,
) -> None:
    """Recommend over HTTP with an exported model, until SIGTERM or Ctrl-C. SIGHUP loads the artefact anew."""
    require("serve", "ltrec serve")
    limits = ServerLimits(
        body_bytes=max_body, history=max_history, histories=max_histories, batch=batch, waiting=queue, stop_seconds=stop_seconds
    )
    keep_freed_memory()
    if access_log:
        log_requests_to(sys.stdout)
    with open_screen() as screen:
        run_server(artefact, Address(host, port), limits, screen.info)
