"""Requests made from the server's own specification: none is answered with 5xx, and every answer is as the specification says."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.serving import JSON, app_of, asked, random_histories
from tests.support.tiny_artefact import tiny_artefact

schemathesis = pytest.importorskip("schemathesis")
BEYOND_A_SCHEMA = [pytest.importorskip("schemathesis.specs.openapi.checks").positive_data_acceptance]
"""A schema cannot say that columns are as long as the items, nor that times ascend."""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """An app, which every request of schemathesis starts and stops."""
    return app_of(tiny_artefact(tmp_path_factory.mktemp("artefact") / "a"), history=8, histories=4, listed=8)


@pytest.fixture(scope="module")
def operations(app):
    """By their labels."""
    api = schemathesis.openapi.from_asgi("/openapi.json", app)
    return {operation.ok().label: operation.ok() for operation in api.get_all_operations()}


def ask(operation, count: int) -> None:
    """As many requests as there are different ones, and so many at most; what comes back is as the specification says."""

    @given(operation.as_strategy())
    @settings(max_examples=count, phases=(Phase.generate,), suppress_health_check=[*HealthCheck], database=None)
    def one(case):
        case.validate_response(case.call(), excluded_checks=BEYOND_A_SCHEMA)

    one()


@pytest.mark.parametrize("count", [8, pytest.param(350, marks=pytest.mark.slow)])
def test_requests_of_the_specification(operations, count):
    posts = {"POST /recommend", "POST /recommend/batch", "POST /recommend/by-plugin"}
    assert {*operations} == posts | {"GET /artefact", "GET /health", "GET /metrics"}
    for operation in operations.values():
        ask(operation, count)


def test_an_answer_that_is_not_in_the_specification_would_be_found(app, operations, monkeypatch):
    async def fail(self, *_):
        raise RuntimeError("no")

    monkeypatch.setattr("ltrec.serving.routes.Batcher.answer", fail)
    with pytest.raises(BaseException, match=r"no|Server error"):
        ask(operations["POST /recommend"], 8)


def broken(draw: random.Random, body: bytes) -> bytes:
    """The body with some of its bytes changed, cut out, doubled, or replaced by a value that is likely to hurt."""
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(body) + 1)
        end = min(len(body), start + draw.randint(0, 12))
        hurtful = [
            b"NaN",
            b"-1",
            b"1e999",
            b"null",
            b"[[[[",
            b"{",
            b'"\\ud800"',
            b"\xff\xfe",
            b"9" * 400,
            b"\x00",
            b"true",
            b"",
            body[start:end] * 3,
        ]
        body = body[:start] + draw.choice(hurtful) + body[end:]
    return body


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_broken_bodies_are_never_5xx(app, count):
    draw = random.Random(count)
    bodies = [json.dumps({"history": h, "k": 3, "deny": ["i1"]}).encode() for h in random_histories(20, longest=6)]
    paths = ["/recommend", "/recommend/batch", "/recommend/by-plugin"]

    async def talk(client):
        return [
            (await client.post(draw.choice(paths), content=broken(draw, draw.choice(bodies)), headers=JSON)) for _ in range(count)
        ]

    replies = asked(app, talk)
    statuses = {reply.status_code for reply in replies}
    assert statuses <= {200, 400, 422} and {400, 422} <= statuses
    assert all(reply.status_code == 200 or reply.json()["error"].isprintable() for reply in replies)
