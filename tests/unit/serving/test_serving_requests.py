"""Bad input is a 4xx with the name of the field, and never a 500."""

from __future__ import annotations

import json

import pytest

from ltrec.core.errors import UserError
from ltrec.serving.request_form import RequestForm
from ltrec.serving.settings import ServerLimits
from tests.support.serving import JSON, app_of, asked, posted
from tests.support.tiny_artefact import tiny_artefact

GOOD = {"items": ["i1", "i2"], "time": [1, 2], "kind": ["view", None], "age": 30}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_artefact(tmp_path_factory.mktemp("artefact") / "a")


@pytest.fixture(scope="module")
def replies(folder):
    """What every body of `WRONG` gets, asked in one conversation."""
    app = app_of(folder, history=5, histories=3, body_bytes=20_000)

    async def talk(client):
        found = {}
        for name, (path, body, *_) in WRONG.items():
            found[name] = await client.post(path, content=body, headers=JSON)
        assert (await client.post("/recommend", json={"history": GOOD})).status_code == 200, "it serves on"
        return found

    return asked(app, talk)


def one(k=3, **changes):
    return "/recommend", json.dumps({"history": {**GOOD, **changes}, "k": k}).encode()


def raw(text, encoding="utf-8"):
    return "/recommend", text.encode(encoding)


WRONG = {
    "nothing": (*raw(""), 400, None, "the body is not JSON"),
    "cut off": (*raw('{"history"'), 400, None, "the body is not JSON"),
    "not UTF-8": ("/recommend", b'{"history": {"items": ["\xff"]}}', 400, None, "the body is not JSON"),
    "UTF-16": (*raw('{"history": {}}', "utf-16"), 400, None, "the body is not JSON"),
    "half a character": (*raw('{"history": {"items": ["\\ud800"]}}'), 400, None, "the body is not JSON"),
    "deep": (*raw("[" * 9000), 400, None, "recursion limit"),
    "deep history": (*raw('{"history":' * 900 + "1" + "}" * 900), 400, None, "recursion limit"),
    "a list": (*raw("[]"), 422, None, "the body: Input should be an object"),
    "no history": (*raw("{}"), 422, "history", "Field required"),
    "unknown field": (*raw('{"history": {"items": []}, "kk": 1}'), 422, "history.time", "Field required"),
    "unknown column": (*one(color="red"), 422, "history.color", "not permitted"),
    "unprintable field": (*one(**{"a\n\u202e": 1}), 422, "history.a\\n\\u202e", "not permitted"),
    "items are no list": (*one(items="i1"), 422, "history.items", "valid list|valid array"),
    "an item is null": (*one(items=["i1", None]), 422, "history.items[1]", "valid string"),
    "an item is a list": (*one(items=["i1", ["i2"]]), 422, "history.items[1]", "valid string"),
    "an item is true": (*one(items=["i1", True]), 422, "history.items[1]", "valid string"),
    "an item is empty": (*one(items=["i1", ""]), 422, "history.items[1]", "at least 1 character"),
    "a long item": (*one(items=["i1", "x" * 600]), 422, "history.items[1]", "at most 512 characters"),
    "a negative item": (*one(items=[3, -1]), 422, "history.items[1]", "greater than or equal to 0"),
    "a huge item": (*one(items=[3, 10**30]), 422, "history.items[1]", "less than or equal"),
    "a long history": (*one(items=["i1"] * 6, time=[1] * 6, kind=[None] * 6), 422, "history.items", "at most 5 items"),
    "columns of other lengths": (*one(kind=["view"]), 422, "history.kind", "1 values for 2 items"),
    "a missing column": (*raw('{"history": {"items": [], "kind": []}}'), 422, "history.time", "Field required"),
    "times backwards": (*one(time=[2, 1]), 422, "history.time[1]", "earlier than the one before"),
    "time is text": (*one(time=["1", "2"]), 422, "history.time[0]", "valid integer"),
    "time is null": (*one(time=[None, 2]), 422, "history.time[0]", "valid integer"),
    "time beyond all years": (*one(time=[1, 2**60]), 422, "history.time[1]", "less than or equal"),
    "a category is a fraction": (*one(kind=["view", 1.5]), 422, "history.kind[1]", "valid string"),
    "NaN": (*raw(json.dumps({"history": {**GOOD, "age": float("nan")}})), 422, "history.age", "finite"),
    "infinity": (*raw(json.dumps({"history": {**GOOD, "age": float("inf")}})), 422, "history.age", "finite"),
    "beyond float32": (*one(age=1e39), 422, "history.age", "less than or equal"),
    "age is text": (*one(age="31"), 422, "history.age", "valid number"),
    "age is true": (*one(age=True), 422, "history.age", "valid number"),
    "k is 0": (*one(k=0), 422, "k", "greater than or equal to 1"),
    "k over the catalogue": (*one(k=41), 422, "k", "less than or equal to 20"),
    "k is text": (*one(k="3"), 422, "k", "valid integer"),
    "k is a fraction": (*one(k=1.5), 422, "k", "valid integer"),
    "a number with too many digits": (*raw('{"history": {"items": []}, "k": ' + "9" * 9000 + "}"), 400, None, "not JSON"),
    "a long body": (*raw('{"history": {"items": ["' + "x" * 30_000 + '"]}}'), 413, None, "longer than 20,000 bytes"),
    "no histories": ("/recommend/batch", b'{"histories": []}', 422, "histories", "at least 1 item"),
    "many histories": (
        "/recommend/batch",
        json.dumps({"histories": [GOOD] * 4}).encode(),
        422,
        "histories",
        "at most 3 items",
    ),
    "the second history": (
        "/recommend/batch",
        json.dumps({"histories": [GOOD, {**GOOD, "age": "x"}]}).encode(),
        422,
        "histories[1].age",
        "valid number",
    ),
    "the second history's times": (
        "/recommend/batch",
        json.dumps({"histories": [GOOD, {**GOOD, "time": [5, 4]}]}).encode(),
        422,
        "histories[1].time[1]",
        "earlier",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_refused_by_field(replies, name):
    _, _, status, field, message = WRONG[name]
    reply = replies[name]
    told = reply.json()
    assert (reply.status_code, told["field"]) == (status, field), told
    assert any(words in told["error"] for words in message.split("|")), told
    assert field is None or told["error"].startswith(field)
    assert told["error"].isprintable() and len(told["error"]) < 300


def test_another_type_of_body_is_415_and_other_paths_and_methods_have_the_same_form(folder):
    app = app_of(folder)

    async def talk(client):
        text = await client.post("/recommend", content=b"{}", headers={"content-type": "text/plain"})
        return text, await client.get("/nothing"), await client.put("/recommend"), await client.get("/recommend")

    text, nothing, put, got = asked(app, talk)
    assert text.status_code == 415 and "application/json" in text.json()["error"]
    assert (nothing.status_code, put.status_code, got.status_code) == (404, 405, 405)
    assert put.headers["allow"] == "POST" and put.json() == {"error": "Method Not Allowed", "field": None}


def test_a_body_without_a_length_is_cut_off_too(folder):
    async def pieces():
        for _ in range(30):
            yield b" " * 1000

    async def talk(client):
        return await client.post("/recommend", content=pieces(), headers=JSON)

    assert asked(app_of(folder, body_bytes=20_000), talk).status_code == 413


def test_the_access_log_has_neither_bodies_nor_headers_nor_queries(folder, caplog):
    app = app_of(folder)
    with caplog.at_level("INFO", logger="ltrec.serving.access"):

        async def talk(client):
            await client.post("/recommend?key=SECRET", json={"history": GOOD}, headers={"authorization": "SECRET"})

        asked(app, talk)
    [line] = [json.loads(record.getMessage()) for record in caplog.records]
    assert {**line, "at": "", "ms": 0} == {
        "at": "",
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/recommend",
        "status": 200,
        "ms": 0,
    }


def test_a_model_without_columns_takes_items_alone(tmp_path):
    app = app_of(tiny_artefact(tmp_path / "plain", columns=False))
    assert posted(app, "/recommend", {"history": {"items": ["i1"]}}).status_code == 200
    assert posted(app, "/recommend", {"history": GOOD}).json()["field"] == "history.time"


def test_a_column_that_no_json_value_stands_for_is_said_at_the_start():
    inputs = {"events": {"text": {"kind": "vector", "dtype": "list<float>", "missing": None, "file": None}}, "users": {}}
    with pytest.raises(UserError, match="column 'text' of kind vector cannot be served"):
        RequestForm(inputs, 10, ServerLimits())


def test_every_number_has_its_type():
    inputs = {"events": {"when": {"kind": "time", "dtype": "int64", "missing": 0, "file": None}}, "users": {}}
    inputs["users"]["level"] = {"kind": "own", "dtype": "int8", "missing": 0, "file": None}
    form = RequestForm(inputs, 10, ServerLimits())
    [query] = form.query(b'{"history": {"items": ["a"], "when": [null], "level": -3}}')
    assert query.history == {"items": ["a"], "when": [None], "level": -3} and query.k == 10
    with pytest.raises(ValueError, match="less than or equal to 127"):
        form.query(b'{"history": {"items": [], "when": [], "level": 1000}}')
    inputs["users"]["level"]["dtype"] = "bool"
    with pytest.raises(UserError, match="column 'level' of kind own cannot be served"):
        RequestForm(inputs, 10, ServerLimits())


def test_limits_fit_together():
    with pytest.raises(UserError, match="may bring 256 histories, but only 10 may wait; raise --queue"):
        ServerLimits(waiting=10)
    with pytest.raises(UserError, match="must be at least 1"):
        ServerLimits(history=0)
