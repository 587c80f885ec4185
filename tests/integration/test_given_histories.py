"""`ltrec predict --input`: what evaluate ranks, for whoever's history is given, by any number of processes, resumable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.inference.counts import Counts
from ltrec.run.train import train
from tests.support.given import as_events, as_lists, users_of, write_parts
from tests.support.inputs import column_data_with_strata
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import tiny_config, tiny_words

WORDS = [
    "inputs.items=[all]",
    "inputs.events=[all,time_gap]",
    "inputs.users=[all]",
    "gradients.name=stratified",
    "plugin.name=bottleneck",
]
WORDS += ["plugin.switch.at=1", "trainer.max_epochs=2", "optim.lr=0.01"]
CHUNKS = {"chunk_rows": 16, "top_k": 50}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return column_data_with_strata(tmp_path_factory.mktemp("given") / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> ltrec.Run:
    return ltrec.load_run(train(tiny_config(data, tmp_path_factory.mktemp("run"), *WORDS)).path)


@pytest.fixture(scope="module")
def users(data) -> list[dict]:
    return users_of(data)


@pytest.fixture(scope="module")
def lists(users, tmp_path_factory) -> Path:
    return write_parts(as_lists(users), tmp_path_factory.mktemp("lists") / "in")


def evaluated(run: ltrec.Run, data: Path, **more) -> list[list[str]]:
    """The top k of evaluation, raw, without a target that was in the history: evaluation alone may keep that."""
    run.evaluate(bootstrap_samples=10, **CHUNKS, **more)
    names = Vocabulary.load(data, Manifest.load(data)).item_id
    rows = run.ranks().to_pylist()
    return [[names[v] for v in row["top_items"] if not (row["repeat"] and v == row["target"])] for row in rows]


@pytest.mark.parametrize("shape", [as_lists, as_events])
def test_equals_the_top_k_of_evaluate(run, data, users, shape):
    found = run.predict(histories=shape(users), k=30, shard_users=32, overwrite=True, **CHUNKS)
    rows = found.table().to_pylist()
    assert [row["user"] for row in rows] == [user["user_id"] for user in users] and len(rows) == 90
    assert [row["items"] for row in rows] == evaluated(run, data)
    assert {row["source"] for row in rows} == {"model"} and len(list(found.path.glob("part-*"))) == 3
    strata = Manifest.load(data).strata.serving(run.ranks()["history_length"].to_numpy())
    assert [row["stratum"] for row in rows] == strata.tolist() and len({*strata.tolist()}) > 1
    assert found.counts == Counts(90, 0, sum(len(u["items"]) for u in users), recommendations=found.rows)


def test_an_interrupted_job_goes_on_and_gives_the_same_bytes(run, lists, tmp_path, monkeypatch):
    whole = run.predict(histories=lists, k=5, out=tmp_path / "whole", shard_users=16, **CHUNKS)
    asked: list[int] = []
    real = ltrec.inference.given.histories.GivenHistories.chunk

    def killed(self, index):
        asked.append(index)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(self, index)

    monkeypatch.setattr("ltrec.inference.given.histories.GivenHistories.chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        run.predict(histories=lists, k=5, out=tmp_path / "out", shard_users=16, **CHUNKS)
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out/.predicting"], "nobody takes a part for the whole"
    again = run.predict(histories=lists, k=5, out=tmp_path / "out", shard_users=16, **CHUNKS)
    assert asked == [0, 1, 2, 3, 3, 4, 5] and again.counts == whole.counts
    assert contents(tmp_path / "out") == contents(tmp_path / "whole") and len(contents(tmp_path / "out")) == 7
    assert run.predict(histories=lists, k=5, out=tmp_path / "out", shard_users=16, **CHUNKS).counts == whole.counts
    assert len(asked) == 7, "all was there"


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_processes_gives_the_same_bytes_and_the_top_k_of_evaluate(run, data, users, tmp_path, size):
    given = write_parts(as_events(users), tmp_path / "in", files=3)
    run.predict(histories=given, k=5, out=tmp_path / "one", shard_users=16, **CHUNKS)
    spoilt = write_parts(numbers(as_lists(users), "times", float("nan")), tmp_path / "spoilt")
    faults = spawn(predict_as_rank, size, tmp_path / "store", size, run.path, given, spoilt, tmp_path)
    assert contents(tmp_path / "many") == contents(tmp_path / "one") and len(contents(tmp_path / "one")) == 7
    found = [row["items"] for part in sorted((tmp_path / "many").glob("part-*")) for row in pq.read_table(part).to_pylist()]
    assert found == [items[:5] for items in evaluated(run, data)]
    assert "its time is missing" in faults[0] and {*faults} == {faults[0]} and not (tmp_path / "none").exists()


OTHERS = {
    "memory": ["plugin.name=memory"],
    "copies": ["gradients.name=stratified", "plugin.name=copies", "plugin.switch.at=1"],
    "melt": ["model.name=gru4rec", "gradients.name=stratified", "plugin.name=melt", "plugin.switch.at=1"],
    "din": ["model.name=din", "objective.name=bce", "evaluation.candidates=seen"],
}


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHERS)
def test_other_models_equal_their_evaluation_too(other, data, users, tmp_path):
    common = [word for word in tiny_words(data, tmp_path) if not word.startswith("model.")]
    words = [*common, "model.width=8", *OTHERS[other], "trainer.max_epochs=2", "optim.lr=0.01"]
    run = ltrec.load_run(train(load([], words)).path)
    found = run.predict(histories=as_lists(users), k=30, **CHUNKS)
    assert found.table()["items"].to_pylist() == evaluated(run, data)


def predict_as_rank(rank, size, run, given, spoilt, work):
    act_as_rank(rank, size)
    ltrec.predict(run, histories=given, k=5, out=work / "many", shard_users=16, **CHUNKS)
    with pytest.raises(ltrec.UserError) as caught:
        ltrec.predict(run, histories=spoilt, k=5, out=work / "none", shard_users=16, **CHUNKS)
    return str(caught.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_other_predictions_are_not_replaced_unasked(run, lists, tmp_path):
    run.predict(histories=lists, k=5, out=tmp_path, shard_users=16)
    with pytest.raises(ltrec.UserError, match="holds other predictions: of another k, 5 instead of 4; name another --out"):
        run.predict(histories=lists, k=4, out=tmp_path, shard_users=16)
    assert run.predict(histories=lists, k=4, out=tmp_path, overwrite=True).rows == 360
    assert {*contents(tmp_path)} == {"part-00000.parquet", "predictions.json"}


def test_whoever_is_unknown_is_told_what_the_least_active_took(run, data, users, tmp_path):
    [first, second, *_] = users
    given = [
        {**first, "user_id": "new", "items": ["nothing", *first["items"]], "times": [0, *first["times"]]},
        {**first, "user_id": "stranger", "items": ["nothing"]},
        {**second, "user_id": "nobody", "items": []},
    ]
    for user in given:
        size = len(user["items"])
        user.update({name: (user[name] * 9)[:size] for name in ("times", "type", "dwell") if len(user[name]) != size})
    found = run.predict(histories=as_lists(given), k=4, out=tmp_path / "out")
    new, stranger, nobody = found.table().to_pylist()
    assert (new["source"], stranger["source"], nobody["source"]) == ("model", "popularity", "popularity")
    assert stranger["items"] == nobody["items"] and nobody["stratum"] == 0
    assert new["items"] == run.predict(histories=as_lists([first]), k=4, out=tmp_path / "o").table()["items"][0].as_py()
    counted = popular_in_stratum_0(data)
    assert [(item, score) for item, score in zip(nobody["items"], nobody["scores"], strict=True)] == counted[:4]
    assert found.counts.unknown_items == 2 and found.counts.empty == 2 and found.counts.events == 2 + len(first["items"])


def popular_in_stratum_0(data: Path) -> list[tuple[str, float]]:
    """Items by training events of stratum 0, then by id."""
    manifest, count = Manifest.load(data), dict[int, int]()
    for shard in manifest.shards:
        if shard.stratum == 0:
            for row in pq.ParquetFile(data / shard.path).read().to_pylist():
                for item in row["items"][: row["train_events"]]:
                    count[item] = count.get(item, 0) + 1
    names = Vocabulary.load(data, manifest).item_id
    return [(names[item], float(count[item])) for item in sorted(count, key=lambda item: (-count[item], item))]


def test_lists_of_items_and_candidates_of_a_request(run, users, tmp_path):
    every = [f"i{n}" for n in range(1, 32)]
    table = as_lists(
        [{**user, "items": user["items"], "candidates": wanted} for user, wanted in zip(users, [every[:9], None] * 45, strict=True)]
    )
    (tmp_path / "deny.txt").write_text("i3\ni5\nnobody knows it\n")
    found = run.predict(histories=table, k=9, deny=tmp_path / "deny.txt", allow=every[:20], out=tmp_path / "o", filter_seen=False)
    for place, items in enumerate(found.table()["items"].to_pylist()):
        assert {*items} <= {*every[: 20 if place % 2 else 9]} - {"i3", "i5"} and len(items) == (9 if place % 2 else 7)
    free = run.predict(histories=as_lists(users), k=31, out=tmp_path / "free", filter_seen=False).table()["items"].to_pylist()
    mine = found.table()["items"].to_pylist()
    assert mine[0] == [item for item in free[0] if item in every[:9] and item not in ("i3", "i5")], "in the same order"


@pytest.mark.parametrize(
    ("change", "options", "line"),
    [
        (lambda t: t.drop_columns("user_id"), {}, "has no column with the users: name it 'user_id'; it has items, times"),
        (lambda t: t.drop_columns("type"), {}, "has no column with the event column 'type': name it"),
        (lambda t: t.drop_columns("age"), {}, "has no column with the user column 'age'"),
        (lambda t: t.drop_columns("times"), {}, "has no column of times, which the model was trained with"),
        (lambda t: t.set_column(0, "user_id", pa.array([None] * t.num_rows, pa.string())), {}, "row 1 has no user"),
        (lambda t: t.set_column(1, "items", pa.array([[1.5]] * t.num_rows)), {}, "times is not as long as items"),
        (lambda t: numbers(t, "items", -1), {}, "row 1: item -1 is negative, and no item of the data"),
        (lambda t: t.set_column(1, "items", pa.array([[True]] * t.num_rows)), {}, "has type bool; ids must be"),
        (lambda t: numbers(t, "times", float("nan")), {}, "row 1: its time is missing, or no time"),
        (lambda t: numbers(t, "dwell", float("inf")), {}, "row 1: dwell=inf: infinite"),
        (lambda t: t.slice(0, 0), {}, "holds no rows"),
        (lambda t: t, {"k": 32}, "k is 32; it must be at least 1, and the catalogue has 31 items"),
        (lambda t: t, {"allow": ["x"]}, "the list to allow names 1 items, of which the data set knows none"),
        (lambda t: t.append_column("candidates", t["user_id"]), {}, "the column 'candidates' has type string"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run, users, tmp_path, change, options, line):
    pq.write_table(change(as_lists(users)), tmp_path / "in.parquet")
    with pytest.raises(ltrec.UserError, match=line) as caught:
        run.predict(histories=tmp_path / "in.parquet", out=tmp_path / "out", **{"k": 3, **options})
    assert "\n" not in str(caught.value) and {path.name for path in tmp_path.iterdir()} == {"in.parquet"}


def numbers(table: pa.Table, name: str, value: float) -> pa.Table:
    lengths = [len(items) for items in table["items"].to_pylist()]
    return table.set_column(table.column_names.index(name), name, pa.array([[value] * n for n in lengths]))


def test_events_of_a_user_stand_together(run, users, tmp_path):
    table = as_events(users)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), tmp_path / "in.parquet")
    with pytest.raises(
        ltrec.UserError, match=rf"row {table.num_rows + 1}: user '{users[0]['user_id']}' comes back after other users"
    ):
        run.predict(histories=tmp_path / "in.parquet", out=tmp_path / "out")


def test_the_command(run, lists, tmp_path, capfd):
    (tmp_path / "deny.txt").write_text("i3\n")
    words = [
        "--input",
        str(lists),
        "--out",
        str(tmp_path / "out"),
        "-k",
        "3",
        "--deny",
        str(tmp_path / "deny.txt"),
        "--shard-users",
        "8",
    ]
    assert main(["predict", str(run.path), *words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["rows"] == 270 and told["counts"]["users"] == 90 and told["predictions"] == str(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    assert main(["predict", str(run.path), "--deny", str(tmp_path / "deny.txt")]) == 2
    assert "need histories (--input)" in capfd.readouterr().err
