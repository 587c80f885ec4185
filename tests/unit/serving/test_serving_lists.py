"""Lists of a request, plugins side by side, and the pages."""

from __future__ import annotations

import re

import pytest

from ltrec.serving.served import Query
from tests.support.serving import app_of, asked, opened, posted, random_histories
from tests.support.source_tree import ROOT
from tests.support.tiny_artefact import tiny_artefact, with_other_items

HISTORIES = [history for history in random_histories(30, seed=2) if history["items"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_artefact(tmp_path_factory.mktemp("artefact") / "a")


def test_lists(folder):
    app, history = app_of(folder), HISTORIES[0]
    whole = posted(app, "/recommend", {"history": history, "k": 20}).json()

    def items(**lists):
        return posted(app, "/recommend", {"history": history, "k": 5, **lists}).json()["items"]

    third, last = whole["items"][2], whole["items"][19]
    assert items(allow=[last, "unknown", third]) == [third, last] and items(allow=[]) == []
    assert items(deny=[third, "unknown"]) == [item for item in whole["items"] if item != third][:5]
    assert items(deny=whole["items"][:17]) == whole["items"][17:] + items(deny=whole["items"])[:2], (
        "a long list, by a pass of its own"
    )
    assert items(allow=[third, last], deny=[third]) == [last] and items(allow=None, deny=None) == whole["items"][:5]
    both = posted(app, "/recommend/batch", {"histories": HISTORIES[:2], "k": 5, "deny": [third]}).json()["answers"]
    assert both[0]["items"] == items(deny=[third]) and all(third not in answer["items"] for answer in both)


def test_lists_are_bounded_and_named(folder):
    app = app_of(folder, listed=3)
    for name in ("allow", "deny"):
        long = posted(app, "/recommend", {"history": HISTORIES[0], name: ["a"] * 4})
        wrong = posted(app, "/recommend", {"history": HISTORIES[0], name: ["a", 1.5]})
        assert (long.status_code, long.json()["field"]) == (422, name) and "at most 3 items" in long.json()["error"]
        assert (wrong.status_code, wrong.json()["field"]) == (422, f"{name}[1]")


def test_plugins_side_by_side(folder):
    app, apart = app_of(folder), 0

    async def talk(client):
        replies = []
        for history in HISTORIES:
            body = {"history": history, "k": 5}
            replies.append([(await client.post(path, json=body)).json() for path in ("/recommend", "/recommend/by-plugin")])
        return replies

    for own, found in asked(app, talk):
        answers = {answer.pop("plugin"): answer for answer in found["answers"]}
        assert [*answers] == [0, 1, 2] and answers[found["served_by"]] == own, "those of its own stratum serve it"
        apart += len({tuple(answer["items"]) for answer in answers.values()}) > 1
    assert apart > len(HISTORIES) / 2
    empty = {"items": [], "time": [], "kind": []}
    assert {a["source"] for a in posted(app, "/recommend/by-plugin", {"history": empty}).json()["answers"]} == {"popularity"}


def test_a_model_without_plugins_has_none_to_compare(folder):
    app = app_of(folder)
    app.batcher.model.plugins = []
    assert posted(app, "/recommend/by-plugin", {"history": HISTORIES[0]}).json()["answers"] == []
    query = Query(HISTORIES[0], 3)
    [own] = opened(folder).answer([query])
    [other] = app.batcher.model.answer([Query(HISTORIES[0], 3, plugin=7)])
    assert other == own, "an artefact that came meanwhile may have other plugins"


def test_the_manifest_is_told_without_the_files(folder):
    async def talk(client):
        return (await client.get("/artefact")).json()

    told = asked(app_of(folder), talk)
    assert told["run"] == "tiny-0" and told["plugins"] == [0, 1, 2] and "kind" in told["inputs"]["events"] and "files" not in told


def test_pages_fetch_nothing_from_elsewhere(folder):
    async def talk(client):
        return await client.get("/"), await client.get("/docs")

    for page in asked(app_of(folder), talk):
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert re.findall(r"""https?://|//[a-z]|url\(|@import|innerHTML""", page.text) == []
    assert len(list((ROOT / "ltrec/serving/pages").glob("*.html"))) == 2


def test_another_artefact_answers_otherwise(folder, tmp_path):
    other = opened(with_other_items(folder, tmp_path / "other"))
    app = app_of(folder)
    before = posted(app, "/recommend", {"history": HISTORIES[0]}).json()
    app.serve(other)
    after = posted(app, "/recommend", {"history": HISTORIES[0]}).json()
    assert before["artefact"] != after["artefact"] == other.short_digest and before["items"] != after["items"]
