"""The server as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import HTTPException
from pydantic.json_schema import models_json_schema

from ltrec.serving.batcher import Batcher
from ltrec.serving.faults import problem
from ltrec.serving.guard import Guard
from ltrec.serving.metrics import ServerMetrics
from ltrec.serving.request_form import RequestForm
from ltrec.serving.routes import Routes
from ltrec.serving.served import ServedModel
from ltrec.serving.settings import ServerLimits
from ltrec.serving.state import ServerState
from ltrec.version import __version__


class RecommendationApp:
    """An ASGI application that serves one model at a time.

    Args:
        model: the first one; its inputs are the form of requests for good.
        limits: of requests.
    """

    def __init__(self, model: ServedModel, limits: ServerLimits) -> None:
        self.state, self.form = ServerState(), RequestForm(model.about["inputs"], model.k, limits)
        self.metrics = ServerMetrics(lambda: self.batcher.waiting)
        self.batcher = Batcher(model, batch=limits.batch, waiting=limits.waiting, on_batch=self.metrics.batch.observe)
        self.serve(model)
        self.api = self._api()
        routes = [*self.api.openapi()["paths"], "/", "/docs", "/openapi.json"]
        self._guard = Guard(self.api, metrics=self.metrics, body_bytes=limits.body_bytes, routes=routes, state=self.state)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        await self._guard(scope, receive, send)

    def serve(self, model: ServedModel) -> None:
        """Let a model answer from the next pass on."""
        self.batcher.model = model
        self.metrics.serves(model.short_digest, str(model.about["run"]), str(model.about["model"]))

    def _api(self) -> FastAPI:
        api = FastAPI(title="ltrec", version=__version__, docs_url=None, redoc_url=None, lifespan=lambda _: self.alive())
        api.include_router(Routes(self.form, self.batcher, self.metrics, self.state).router())
        api.add_exception_handler(HTTPException.__mro__[1], _refusal)
        _, schemas = models_json_schema(
            [(self.form.one, "validation"), (self.form.many, "validation")], ref_template="#/components/schemas/{model}"
        )
        described = api.openapi()
        described["components"]["schemas"] |= schemas["$defs"]
        return api

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """While it takes requests."""
        self.batcher.start()
        try:
            yield
        finally:
            self.batcher.stop()


async def _refusal(_: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the form of all refusals."""
    status, headers = getattr(error, "status_code", 500), getattr(error, "headers", None)
    return problem(status, str(getattr(error, "detail", "")), headers=headers)
