"""`ltrec predict --index`: the lists of the full ranking wherever the index finds them, filtered, resumable, by any number of
processes; an index of anything else is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.run.train import train
from tests.support.given import as_events, as_lists, users_of, write_parts
from tests.support.inputs import column_data
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import tiny_config

WORDS = ["inputs.items=[all]", "gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.at=1"]
WORDS += ["trainer.max_epochs=2", "optim.lr=0.01", "evaluation.chunk_rows=16"]
EVERY = [f"i{n}" for n in range(1, 32)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return column_data(tmp_path_factory.mktemp("index") / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> ltrec.Run:
    return ltrec.load_run(train(tiny_config(data, tmp_path_factory.mktemp("run"), *WORDS)).path)


@pytest.fixture(scope="module")
def index(run, tmp_path_factory) -> Path:
    """With an edge from every item to every other, it finds all: what is left to differ is the code around it."""
    return ltrec.index(run, out=tmp_path_factory.mktemp("made") / "index", threads=1, connectivity=64).path


@pytest.fixture(scope="module")
def users(data) -> list[dict]:
    return users_of(data)


def columns(found: ltrec.Predictions, *names: str) -> list[list]:
    return [found.table()[name].to_pylist() for name in names]


@pytest.mark.parametrize("options", [{}, {"deny": ["i3", "i5"]}, {"allow": EVERY[:20]}, {"filter_seen": False}, {"k": 31}])
def test_given_histories_get_the_lists_of_the_full_ranking(run, index, users, tmp_path, options):
    table = as_lists([{**user, "candidates": own} for user, own in zip(users, [EVERY[:9], None] * 45, strict=True)])
    options = {"k": 5, "histories": table, **options}
    plain = run.predict(out=tmp_path / "plain", **options)
    mine = run.predict(out=tmp_path / "mine", index=index, **options)
    same = ("user", "items", "stratum", "source")
    assert columns(mine, *same) == columns(plain, *same)
    for a, b in zip(*columns(mine, "scores"), *columns(plain, "scores"), strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    told = json.loads((mine.path / "predictions.json").read_text())
    sha = json.loads((index / "index.json").read_text())["file"]["sha256"]
    assert told["asked"]["index"] == f"{sha}, 64 in view"
    assert "index" not in json.loads((plain.path / "predictions.json").read_text())["asked"]
    assert plain.counts.exact == 0 and (mine.counts.exact > 0) == (options["k"] == 31), "who has seen something lacks items"


def test_users_of_the_data_get_the_lists_of_the_full_ranking(run, index, tmp_path, capfd):
    plain, mine = run.predict(out=tmp_path / "plain.parquet", k=3), run.predict(out=tmp_path / "mine.parquet", k=3, index=index)
    same = ("user_id", "rank", "item_id")
    assert columns(mine, *same) == columns(plain, *same) and mine.rows == plain.rows
    assert b"ltrec.index" in pq.read_schema(mine.path).metadata and not pq.read_schema(plain.path).metadata
    words = ["predict", str(run.path), "-k", "31", "--index", str(index), "--out", str(tmp_path / "all.parquet")]
    assert main(words) == 0
    assert "ranked by all items: the index left too few" in capfd.readouterr().err


def test_an_interrupted_job_goes_on_and_gives_the_same_bytes(run, index, users, tmp_path, monkeypatch):
    options = {"histories": write_parts(as_lists(users), tmp_path / "in"), "k": 5, "shard_users": 16, "index": index}
    run.predict(out=tmp_path / "whole", **options)
    real, heard = ltrec.inference.given.histories.GivenHistories.chunk, list[int]()

    def killed(self, number):
        heard.append(number)
        if len(heard) == 4:
            raise KeyboardInterrupt
        return real(self, number)

    monkeypatch.setattr("ltrec.inference.given.histories.GivenHistories.chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        run.predict(out=tmp_path / "out", **options)
    with pytest.raises(ltrec.UserError, match="holds other predictions"):
        run.predict(out=tmp_path / "out", **{**options, "index": None})
    run.predict(out=tmp_path / "out", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole") and len(heard) == 7


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_processes_gives_the_same_bytes(run, index, users, tmp_path, size):
    given = write_parts(as_events(users), tmp_path / "in", files=3)
    run.predict(histories=given, k=5, out=tmp_path / "one", shard_users=16, index=index)
    spawn(predict_as_rank, size, tmp_path / "store", size, run.path, given, index, tmp_path)
    assert contents(tmp_path / "many") == contents(tmp_path / "one") and len(contents(tmp_path / "one")) == 7


def predict_as_rank(rank, size, run, given, index, work):
    act_as_rank(rank, size)
    ltrec.predict(run, histories=given, k=5, out=work / "many", shard_users=16, index=index)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(**values):
    """A manifest with other values."""

    def change(folder: Path) -> None:
        found = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps({**found, **values}))

    return change


def flipped(folder: Path) -> None:
    body = bytearray((folder / "items.usearch").read_bytes())
    body[len(body) // 2] ^= 1
    (folder / "items.usearch").write_bytes(body)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (flipped, "items.usearch is damaged: its digest is not that of index.json; make it again"),
        (lambda folder: (folder / "items.usearch").unlink(), "items.usearch is missing; make it again"),
        (
            lambda folder: (folder / "index.json").unlink(),
            r"holds no index \(index.json is missing\): make one with ltrec index RUN",
        ),
        (lambda folder: (folder / "index.json").write_text("{"), "index.json is damaged: "),
        (changed(index=2), "holds no index that this version of ltrec reads"),
        (changed(options={}), "index.json is damaged; make it again"),
        (changed(data={"digest": "of another"}), "is an index of another data set; make one of these"),
        (changed(item_table="others"), r"is an index of other weights \(checkpoint best of run r, as trained\)"),
        (changed(checkpoint={"name": "last", "sha256": "0", "weights": None}), "other weights .checkpoint last of run r"),
    ],
)
def test_what_is_no_index_of_these_weights_is_one_line(run, index, users, tmp_path, spoil, line):
    shutil.copytree(index, tmp_path / "index")
    spoil(tmp_path / "index")
    with pytest.raises(ltrec.UserError, match=line) as caught:
        run.predict(histories=as_lists(users), out=tmp_path / "out", index=tmp_path / "index")
    assert "\n" not in str(caught.value) and {path.name for path in tmp_path.iterdir()} == {"index"}
