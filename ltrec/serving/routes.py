"""The answers to requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from ltrec.serving.batcher import Batcher, QueueFull
from ltrec.serving.faults import RequestFault, problem, problem_of
from ltrec.serving.metrics import CONTENT_TYPE, ServerMetrics
from ltrec.serving.pages import page_answer
from ltrec.serving.replies import AnswerReply, BatchReply, HealthReply, PluginsReply, ProblemReply
from ltrec.serving.request_form import RequestForm
from ltrec.serving.served import ModelAnswer, Query
from ltrec.serving.state import ServerState
from ltrec.version import __version__

_FAULTS: dict[int | str, dict[str, Any]] = {
    400: {"model": ProblemReply, "description": "The body is not JSON"},
    413: {"model": ProblemReply, "description": "The body is too long"},
    415: {"model": ProblemReply, "description": "The body is not of type application/json"},
    422: {"model": ProblemReply, "description": "A field is wrong; `field` says which"},
    429: {"model": ProblemReply, "description": "Too many wait; come again after the seconds of Retry-After"},
}


class Routes:
    """The routes of a server.

    Args:
        form: of requests.
        batcher: that answers.
        metrics: that are told.
        state: of the server.
    """

    def __init__(self, form: RequestForm, batcher: Batcher, metrics: ServerMetrics, state: ServerState) -> None:
        self._form, self._batcher, self._metrics, self._state = form, batcher, metrics, state

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter()
        faults = {"responses": _FAULTS}
        router.post("/recommend", response_model=AnswerReply, openapi_extra=_body_of("RecommendRequest"), **faults)(self.recommend)  # type: ignore[arg-type]
        router.post("/recommend/batch", response_model=BatchReply, openapi_extra=_body_of("BatchRequest"), **faults)(  # type: ignore[arg-type]
            self.recommend_batch
        )
        router.post(
            "/recommend/by-plugin",
            response_model=PluginsReply,
            openapi_extra=_body_of("RecommendRequest"),
            **faults,  # type: ignore[arg-type]
        )(self.by_plugin)
        router.get("/artefact", response_model=dict[str, Any])(self.artefact)
        router.get("/", include_in_schema=False)(page_answer("demo.html"))
        router.get("/docs", include_in_schema=False)(page_answer("docs.html"))
        router.get("/health", response_model=HealthReply, responses={503: {"model": HealthReply, "description": "It stops"}})(
            self.health
        )
        router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})(self.metrics)
        return router

    async def recommend(self, request: Request) -> Response:
        """Recommend for one history."""
        return await self._answer(request, self._form.query, lambda answers: asdict(answers[0]))

    async def recommend_batch(self, request: Request) -> Response:
        """Recommend for several histories."""
        return await self._answer(request, self._form.queries, lambda answers: {"answers": [asdict(answer) for answer in answers]})

    async def by_plugin(self, request: Request) -> Response:
        """What the plugins of each stratum would recommend for one history."""
        model = self._batcher.model
        served = [0]

        def read(body: bytes) -> list[Query]:
            [query] = self._form.query(body)
            served[0] = model.plugin_of(query)
            return [replace(query, plugin=plugin) for plugin in model.plugins]

        def told(answers: list[ModelAnswer]) -> dict[str, Any]:
            pairs = zip(model.plugins, answers, strict=True)
            return {"served_by": served[0], "answers": [{"plugin": plugin, **asdict(answer)} for plugin, answer in pairs]}

        return await self._answer(request, read, told)

    async def artefact(self) -> Response:
        """The manifest of the artefact that serves, without its files."""
        model = self._batcher.model
        told = {name: value for name, value in model.about.items() if name != "files"}
        body = {**told, "digest": model.digest, "plugins": model.plugins}
        return Response(json.dumps(body), media_type="application/json")

    async def health(self) -> Response:
        """Whether the server lives and takes requests, and with which artefact."""
        model, ready = self._batcher.model, not self._state.stopping
        told = {
            "live": True,
            "ready": ready,
            "version": __version__,
            "artefact": model.digest,
            "run": str(model.about["run"]),
            "waiting": self._batcher.waiting,
            "reload": self._state.reload,
        }
        return Response(json.dumps(told), 200 if ready else 503, media_type="application/json")

    async def metrics(self) -> Response:
        """What Prometheus reads."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _answer(
        self, request: Request, read: Callable[[bytes], list[Query]], form: Callable[[list[ModelAnswer]], dict[str, Any]]
    ) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return problem(415, "the body must be of type application/json")
        try:
            queries = read(await request.body())
        except (ValidationError, RequestFault) as error:
            return problem_of(error)
        try:
            answers = await self._batcher.answer(queries) if queries else []
        except QueueFull:
            return problem(429, "too many histories wait; try again", headers={"Retry-After": "1"})
        self._metrics.answered(answers)
        return Response(json.dumps(form(answers), ensure_ascii=False, allow_nan=False), media_type="application/json")


def _body_of(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
