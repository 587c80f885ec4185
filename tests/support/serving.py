"""An app that serves a model made by hand, and a client that speaks to it without a port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from ltrec.artefact import recommend
from ltrec.serving.app import RecommendationApp
from ltrec.serving.served import ServedModel
from ltrec.serving.settings import ServerLimits
from tests.support.tiny_artefact import EagerProgram

JSON = {"content-type": "application/json"}


def opened(folder: Path) -> ServedModel:
    """A model whose program was not exported."""
    own, recommend.TorchProgram = recommend.TorchProgram, EagerProgram
    try:
        return ServedModel(folder)
    finally:
        recommend.TorchProgram = own


def asked(app: RecommendationApp, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """What a conversation with the app comes to."""

    async def run() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ltrec") as client, app.alive():
            return await talk(client)

    return asyncio.run(run())


def posted(app: RecommendationApp, path: str, body: Any) -> httpx.Response:
    """One request, of bytes or of JSON."""

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        if isinstance(body, bytes):
            return await client.post(path, content=body, headers=JSON)
        return await client.post(path, json=body)

    return asked(app, talk)


def random_histories(count: int, *, seed: int = 0, items: int = 40, longest: int = 16) -> list[dict[str, Any]]:
    """Histories of a tiny artefact: empty ones, unknown items and missing values among them."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        length = int(draw.integers(0, longest))
        names = [f"i{n}" for n in draw.integers(1, items + 6, length)]
        kinds = [["view", "buy", "größe", None, "never seen"][n] for n in draw.integers(0, 5, length)]
        age = None if draw.random() < 0.2 else float(draw.integers(9, 99))
        found.append({"items": names, "time": np.sort(draw.integers(0, 10**6, length)).tolist(), "kind": kinds, "age": age})
    return found


def app_of(folder: Path, **limits: int) -> RecommendationApp:
    """An app that serves the folder."""
    return RecommendationApp(opened(folder), ServerLimits(**limits))
