"""What the server answers is what the artefact's own recommender answers, alone, in batches and in a crowd."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from ltrec.serving.batcher import Batcher, QueueFull
from ltrec.serving.request_form import RequestForm
from ltrec.serving.served import Query
from ltrec.serving.settings import ServerLimits
from tests.support.serving import app_of, asked, opened, posted, random_histories
from tests.support.tiny_artefact import tiny_artefact, write_manifest

HISTORIES = random_histories(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_artefact(tmp_path_factory.mktemp("artefact") / "a")


@pytest.fixture(scope="module")
def own(folder):
    """What the artefact's recommender says of every history alone."""
    recommender = opened(folder).recommender
    return [recommender([history], 5)[0] for history in HISTORIES]


def same(answer: dict, wanted: dict, history: dict) -> None:
    assert answer["items"] == wanted["items"] and answer["scores"] == wanted["scores"], "to the last bit"
    assert (answer["stratum"], answer["source"]) == (wanted["stratum"], wanted["source"])
    assert answer["unknown_items"] == sum(int(item[1:]) > 40 for item in history["items"])


def test_one_history_a_request(folder, own):
    app = app_of(folder)
    for history, wanted in zip(HISTORIES[:10], own, strict=False):
        answer = posted(app, "/recommend", {"history": history, "k": 5})
        assert answer.status_code == 200
        same(answer.json(), wanted, history)
    assert {wanted["source"] for wanted in own} == {"model", "popularity"} and len({wanted["stratum"] for wanted in own}) == 3


def test_batches_and_a_crowd(folder, own):
    app = app_of(folder, batch=16)

    async def talk(client):
        alone = [client.post("/recommend", json={"history": history, "k": 5}) for history in HISTORIES]
        together = [client.post("/recommend/batch", json={"histories": HISTORIES[n : n + 20], "k": 5}) for n in range(0, 60, 20)]
        return await asyncio.gather(*alone, *together), (await client.get("/metrics")).text

    replies, counted = asked(app, talk)
    assert {reply.status_code for reply in replies} == {200}
    for reply, history, wanted in zip(replies[:60], HISTORIES, own, strict=True):
        same(reply.json(), wanted, history)
    found = [answer for reply in replies[60:] for answer in reply.json()["answers"]]
    for answer, history, wanted in zip(found, HISTORIES, own, strict=True):
        same(answer, wanted, history)
    assert 'ltrec_requests_total{route="/recommend",status="200"} 60.0' in counted
    assert "ltrec_batch_size_sum 120.0" in counted and 'ltrec_batch_size_bucket{le="16.0"} ' in counted
    passes = float(counted.split("ltrec_batch_size_count ")[1].split()[0])
    assert passes < 60, "concurrent requests share passes"
    assert 'ltrec_answers_total{source="popularity",stratum="0"}' in counted and "ltrec_queue_length 0.0" in counted


def test_whole_numbers_are_ids_and_k_has_a_default(folder):
    app = app_of(folder)
    reply = posted(app, "/recommend", {"history": {"items": [7], "time": [1], "kind": [None]}})
    assert reply.status_code == 200 and len(reply.json()["items"]) == 10 and reply.json()["unknown_items"] == 1


def test_a_full_queue_is_429(folder):
    app = app_of(folder, waiting=2, histories=2)
    model = app.batcher.model
    answer, entered, go = model.answer, asyncio.Event(), threading.Event()

    async def talk(client):
        loop = asyncio.get_running_loop()

        def slow(queries):
            loop.call_soon_threadsafe(entered.set)
            go.wait()
            return answer(queries)

        model.answer = slow
        body = {"history": HISTORIES[1]}
        first = asyncio.create_task(client.post("/recommend", json=body))
        await entered.wait()
        waiting = asyncio.create_task(client.post("/recommend/batch", json={"histories": HISTORIES[:2]}))
        while app.batcher.waiting < 2:
            await asyncio.sleep(0)
        refused = await client.post("/recommend", json=body)
        go.set()
        return refused, await first, await waiting

    refused, *others = asked(app, talk)
    assert refused.status_code == 429 and refused.headers["retry-after"] == "1" and "try again" in refused.json()["error"]
    assert [reply.status_code for reply in others] == [200, 200]


def test_one_bad_query_does_not_spoil_the_others(folder):
    app = app_of(folder)
    model = app.batcher.model
    answer = model.answer

    def fragile(queries):
        if any(query.history["age"] == 13 for query in queries):
            raise RuntimeError("thirteen")
        return answer(queries)

    model.answer = fragile
    batcher = app.batcher

    async def talk(client):
        queries = [Query({**HISTORIES[3], "age": age}, 3) for age in (1.0, 13, 2.0)]
        return await asyncio.gather(*(batcher.answer([query]) for query in queries), return_exceptions=True)

    good, bad, other = asked(app, talk)
    assert isinstance(bad, RuntimeError) and len(good[0].items) == len(other[0].items) == 3


def test_what_waits_is_answered_before_the_end(folder):
    model = opened(folder)
    batcher = Batcher(model, batch=1, waiting=10, on_batch=lambda size: None)

    async def talk():
        jobs = [asyncio.ensure_future(batcher.answer([Query(HISTORIES[1], 2)])) for _ in range(5)]
        await asyncio.sleep(0)
        assert batcher.waiting == 5
        with pytest.raises(QueueFull):
            await batcher.answer([Query(HISTORIES[1], 2)] * 6)
        batcher.start()
        await asyncio.to_thread(batcher.stop)
        return await asyncio.gather(*jobs)

    assert len(asyncio.run(talk())) == 5


def test_health_says_who_serves(folder):
    app = app_of(folder)

    async def talk(client):
        before = await client.get("/health")
        app.state.stopping = True
        return before, await client.get("/health")

    before, after = asked(app, talk)
    told = before.json()
    assert before.status_code == 200 and told["ready"] and told["run"] == "tiny-0" and told["artefact"] == app.batcher.model.digest
    assert after.status_code == 503 and not after.json()["ready"] and after.headers["connection"] == "close"


def test_another_form_is_no_reload(folder, tmp_path):
    model = opened(folder)
    form = RequestForm(model.about["inputs"], model.k, ServerLimits())
    form.refuse(model)
    other = opened(tiny_artefact(tmp_path / "other", columns=False))
    with pytest.raises(Exception, match="inputs are not those of the model that serves"):
        form.refuse(other)
    model.k = 3
    with pytest.raises(Exception, match="gives 3 items, and requests may ask this server for 20"):
        form.refuse(model)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "artefact.json").unlink(), "is no exported model: it has no artefact.json"),
        (lambda folder: (folder / "artefact.json").write_text("{"), "artefact.json is damaged: "),
        (lambda folder: (folder / "items.arrow").unlink(), "is not whole: items.arrow is missing; export it again"),
        (lambda folder: (folder / "items.arrow").write_bytes(b"x"), "items.arrow is damaged: its sha256"),
        (lambda folder: again(folder, artefact=9), "was exported by another version of ltrec"),
        (lambda folder: (folder / "program.pt2").write_bytes(b"x") and again(folder), "cannot be opened"),
    ],
)
def test_a_broken_artefact_is_one_line(tmp_path, harm, message):
    folder = tiny_artefact(tmp_path / "a")
    harm(folder)
    with pytest.raises(Exception, match=message) as raised:
        opened(folder)
    assert type(raised.value).__name__ == "UserError" and "\n" not in str(raised.value)


def again(folder, **facts):
    about = json.loads((folder / "artefact.json").read_text())
    about = {**about, **facts}
    del about["files"]
    write_manifest(folder, items=about.pop("data")["items"], **about)


def test_a_number_that_is_not_finite_is_no_score(folder):
    model = opened(folder)
    answer = {"items": ["a", "b", "c"], "scores": [float("inf"), 2.0, float("nan")], "stratum": 0, "source": "model"}
    found = model._answer(Query({"items": ["i1", "no"]}, 3), answer)
    assert (found.items, found.scores, found.unknown_items) == (["b"], [2.0], 1)
