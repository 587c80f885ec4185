"""`ltrec index` and `ltrec predict --index`: recall that is measured, and lists that are the run's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.run.train import train
from tests.support.inputs import column_data_with_strata
from tests.support.tiny_run import tiny_config, tiny_words

WORDS = ["inputs.items=[all]", "gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.at=1"]
WORDS += ["trainer.max_epochs=2", "optim.lr=0.01"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return column_data_with_strata(tmp_path_factory.mktemp("index") / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> ltrec.Run:
    return ltrec.load_run(train(tiny_config(data, tmp_path_factory.mktemp("run"), *WORDS)).path)


@pytest.fixture(scope="module")
def found(run) -> ltrec.Indexed:
    return ltrec.index(run, k=5, threads=1, recall=0.95)


def test_recall_is_measured_by_stratum_and_by_popularity(run, found):
    told = found.to_dict()
    assert {"all", "tail", "head", "stratum=0", "stratum=1", "stratum=2", "item=tail", "item=head"} <= {*told["recall"]}
    assert told["recall"]["all"] == {"items": 5 * 90, "recall": 1.0} and told["reached"] is True and told["users"] == 90
    parts = [found.recall[key].items for key in ("item=new", "item=tail", "item=head") if key in found.recall]
    assert sum(parts) == 450 and found.path == run.path / "index"
    manifest = json.loads((found.path / "index.json").read_text())
    assert manifest["measured"]["recall"] == told["recall"] and manifest["items"] == 31 and manifest["options"] == told["options"]
    assert {path.name for path in found.path.iterdir()} == {"index.json", "items.usearch"}
    assert told["bytes"] == (found.path / "items.usearch").stat().st_size == manifest["file"]["bytes"]


def test_one_thread_gives_the_same_index_and_another_is_not_replaced_unasked(run, found, tmp_path):
    again = ltrec.index(run, k=5, threads=1, out=tmp_path / "again", users=40)
    assert (again.path / "items.usearch").read_bytes() == (found.path / "items.usearch").read_bytes()
    assert again.reached is None and 16 <= again.made.users <= 90
    with pytest.raises(ltrec.UserError, match="holds an index; name another --out, or replace it with --overwrite"):
        ltrec.index(run, out=again)
    assert ltrec.index(run, out=again, dtype="i8", threads=1, overwrite=True).made.options.dtype == "i8"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(ltrec.UserError, match="is there already, and is not an index; name another --out"):
        ltrec.index(run, out=tmp_path / "mine", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"again", "mine"}, "nothing half-written"


def test_a_recall_that_is_out_of_reach_is_said(run, tmp_path, capfd):
    words = [
        "--connectivity",
        "2",
        "--expansion-build",
        "1",
        "--expansion-search",
        "1",
        "--recall",
        "1",
        "-k",
        "31",
        "--dtype",
        "i8",
    ]
    assert main(["index", str(run.path), "--out", str(tmp_path / "poor"), "evaluation.filter_seen=false", *words, "--json"]) == 0
    said = capfd.readouterr()
    told = json.loads(said.out)
    assert "recall@31 against the full ranking" in said.err and "items in view" in said.err
    assert told["wanted"] == 1.0 and told["options"]["expansion_search"] in (1, 2, 4, 8, 16, 32)
    assert ("a stratum stays below recall 1" in said.err) == (told["reached"] is False)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"k": 32}, "k is 32; it must be at least 1, and the catalogue has 31 items"),
        ({"recall": 1.5}, "--recall 1.5 is no share"),
        ({"users": 0}, "--users 0: recall is measured on at least one user"),
        ({"dtype": "f8"}, "ltrec index: dtype must be one of f32, f16, i8; got 'f8'"),
        ({"connectivity": 1}, "ltrec index: connectivity must be at least 2; got 1"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(run, tmp_path, options, line):
    with pytest.raises(ltrec.UserError, match=line) as caught:
        ltrec.index(run, out=tmp_path / "out", **options)
    assert "\n" not in str(caught.value) and not [*tmp_path.iterdir()]


OTHERS = {
    "din": (["model.name=din", "objective.name=bce", "evaluation.candidates=seen"], "model.name=din looks at every candidate"),
    "copies": (
        ["gradients.name=stratified", "plugin.name=copies", "plugin.switch.at=1", "trainer.max_epochs=2"],
        "plugin.name=copies has item vectors for every stratum",
    ),
    "memory": (["plugin.name=memory"], "plugin.name=memory with form=mix lifts counted neighbours"),
}


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHERS)
def test_models_without_one_table_of_vectors_say_so(other, data, tmp_path):
    common = [word for word in tiny_words(data, tmp_path) if not word.startswith("model.")]
    words, line = OTHERS[other]
    run = train(load([], [*common, "model.width=8", "trainer.max_epochs=1", *words])).path
    with pytest.raises(ltrec.UserError, match=line):
        ltrec.index(run)
    assert not (run / "index").exists()
    shutil.rmtree(run)
