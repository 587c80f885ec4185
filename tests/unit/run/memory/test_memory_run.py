"""A run with a memory: training does not know of it; its end weighs it; whoever asks later finds the choice, or makes the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import ltrec.run.scoring.memory as run_memory
import ltrec.run.train as training
from ltrec.cli.main import main
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.seal import sealed
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.run.build.components import build_histories, open_data
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.config_file import read_config
from ltrec.run.process.detect import detect
from tests.support.tiny_run import checkpoint, lines_of, same, tiny_config, tiny_words

MEMORY = ["plugin.name=memory", "evaluation.bootstrap_samples=100"]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return training.train(tiny_config(data, tmp_path_factory.mktemp("with"), *MEMORY))


@pytest.fixture
def run(trained, tmp_path):
    """A copy, to be spoilt."""
    return RunFolder(shutil.copytree(trained.path, tmp_path / "r"))


def choices(run):
    return json.loads((run.memory / "choices.json").read_text())["choices"]


def ranks(run, split="test", which="best", **more):
    table = EvalTable.read(evaluate_run(run, split, which, detect(), **more)["sasrec"])
    return table, table.column("rank")


def test_training_is_the_same_without_a_memory(trained, data, tmp_path):
    plain = training.train(tiny_config(data, tmp_path))
    for name in ("last", "best"):
        mine, theirs = checkpoint(trained.path, name), checkpoint(plain.path, name)
        assert same(mine["state_dict"], theirs["state_dict"]) and same(mine["optimizer_states"], theirs["optimizer_states"])
    assert lines_of(trained.path) == lines_of(plain.path)
    assert not plain.memory.exists()


def test_the_end_of_training_records_every_weight_and_what_it_gave(trained):
    [entry] = choices(trained)
    grid, everybody = entry["choice"]["grid"], entry["choice"]["all"]
    assert entry["made_for"]["grid"] == grid == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert everybody["users"] == 90 and everybody["weight"] == grid[int(np.argmax(everybody["ndcg"]))]
    assert everybody["ndcg"][0] == checkpoint(trained.path, "best")["callbacks"]["Checkpoints"]["best"]["best"], "0 is the trunk"
    table, rank = ranks(trained, "valid")
    assert float(np.mean(ndcg_at(rank, 10))) == max(everybody["ndcg"]), "evaluate ranks as the choice did"
    assert table.source["memory"] == {"form": "mix", "neighbours": entry["made_for"]["neighbours"], "choice": entry["choice"]}


def test_evaluate_and_predict_find_the_choice_and_a_travelled_copy_does_too(run, trained, monkeypatch):
    before = (run.memory / "choices.json").read_bytes()
    monkeypatch.setattr(run_memory, "choose_weights", None)
    monkeypatch.setattr("ltrec.run.scoring.neighbour_counts.count_neighbours", None)
    assert np.array_equal(ranks(run)[1], ranks(trained)[1])
    assert main(["predict", str(run.path)]) == 0
    assert (run.memory / "choices.json").read_bytes() == before


def test_predict_recommends_what_evaluate_ranked_first(run):
    assert main(["predict", str(run.path), "-k", "3", "evaluation.filter_seen=false"]) == 0
    table, _ = ranks(run, config=replace(read_config(run), evaluation=replace(read_config(run).evaluation, filter_seen=False)))
    assert table.source["memory"]["choice"] == choices(run)[1]["choice"], "another protocol has a choice of its own"
    rows = pq.read_table(run.path / "predictions" / "top-k.parquet")
    assert rows.num_rows == 3 * 90 and (np.diff(rows["score"].to_numpy())[np.diff(rows["rank"].to_numpy()) == 1] <= 0).all()


@pytest.mark.parametrize("gone", ["memory", "memory/choices.json", "memory/neighbours.parquet"])
def test_missing_files_are_made_again_identically(run, trained, gone):
    path = run.path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert np.array_equal(ranks(run)[1], ranks(trained)[1])
    assert (run.memory / "choices.json").read_bytes() == (trained.memory / "choices.json").read_bytes()
    assert (run.memory / "neighbours.parquet").read_bytes() == (trained.memory / "neighbours.parquet").read_bytes()


@pytest.mark.parametrize("name", ["choices.json", "neighbours.parquet"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "other"])
def test_damaged_files_are_reported_and_made_again(run, trained, name, damage, capsys):
    path, good = run.memory / name, (trained.memory / name).read_bytes()
    at = good.index(b"0.2") if name == "choices.json" else len(good) // 2
    flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    path.write_bytes({"flipped": flipped, "cut": good[: len(good) // 2], "other": b"[]\n"}[damage])
    assert np.array_equal(ranks(run)[1], ranks(trained)[1])
    assert f"{path} " in (told := capsys.readouterr().err) and "damaged" in told and "again" in told
    assert path.read_bytes() == good


def test_an_invalid_choice_is_damage_even_with_a_valid_digest(run, trained, capsys):
    [entry] = choices(run)
    entry["choice"]["all"]["ndcg"] = [0.5]
    (run.memory / "choices.json").write_text(canonical_json(sealed({"choices": [entry]})))
    assert np.array_equal(ranks(run)[1], ranks(trained)[1])
    assert "1 values of NDCG for 10 weights" in capsys.readouterr().err


def test_every_checkpoint_has_its_own_choice(run):
    ranks(run, which="last")
    made_for = [entry["made_for"]["checkpoint_sha256"] for entry in choices(run)]
    assert len(made_for) == len(set(made_for)) == 2
    before = (run.memory / "choices.json").read_bytes()
    ranks(run, which="last")
    ranks(run)
    assert (run.memory / "choices.json").read_bytes() == before


def test_a_table_ranked_with_another_choice_is_ranked_again(run):
    _, first = ranks(run)
    [entry] = choices(run)
    entry["choice"]["all"]["weight"] = 0.0
    (run.memory / "choices.json").write_text(json.dumps({"choices": [entry]}))
    table, again = ranks(run)
    assert table.source["memory"]["choice"]["all"]["weight"] == 0.0
    assert not np.array_equal(again, first)


def test_a_run_killed_before_its_choice_makes_it_when_it_is_started_again(data, tmp_path, monkeypatch, trained):
    words = tiny_words(data, tmp_path, *MEMORY)
    with monkeypatch.context() as patch:
        patch.setattr(run_memory, "save_choice", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            training.train(tiny_config(data, tmp_path, *MEMORY))
    assert not (tmp_path / "r" / "memory" / "choices.json").exists()
    assert main(["train", *words]) == 0
    assert [entry["choice"] for entry in choices(RunFolder(tmp_path / "r"))] == [entry["choice"] for entry in choices(trained)]


def test_the_choice_is_printed_reported_and_in_the_json(run, capsys):
    (run.memory / "choices.json").unlink()
    line = "mix with weight 0.8, by NDCG@10 of 90 validation users: 0 .2061, 0.1 .2133, 0.2 .2141"
    assert main(["evaluate", str(run.path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert f"memory beside best.ckpt: {line}" in err and f"memory: {line}" in err, "all but the answer is on stderr"
    [told] = json.loads(out)["runs"]
    assert told["memory"]["choice"]["all"]["weight"] == 0.8
    assert json.loads((run.eval / "test.json").read_text())["sasrec"]["memory"] == told["memory"]
    assert main(["report", str(run.path)]) == 0
    assert line in (run.path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plugin.weights=[0.3]"], "mix with weight 0.3, as given"),
        (["plugin.form=log", "plugin.weights=[1.5]"], "log with weight 1.5, as given"),
        (["plugin.form=log"], "log with weight "),
        (["plugin.per_stratum=true", "plugin.shrinkage=10"], "mix with weights "),
    ],
)
def test_weights_given_and_weights_by_stratum(data, tmp_path, words, expected, capsys):
    run = training.train(tiny_config(data, tmp_path, *MEMORY, "trainer.max_epochs=1", *words))
    assert f"memory beside best.ckpt: {expected}" in capsys.readouterr().out
    [entry] = choices(run)
    assert len(entry["choice"]["strata"]) == (3 if "plugin.per_stratum=true" in words else 0)
    rank = ranks(run, "valid")[1]
    config = read_config(run)
    routed = build_histories(config, open_data(config), "valid").chunk(0).batch.stratum_B.numpy()
    for z, curve in enumerate(entry["choice"]["strata"]):
        own = rank[routed == z]
        assert len(own) == curve["users"]
        if len(own):
            assert float(np.mean(ndcg_at(own, 10))) == pytest.approx(curve["ndcg"][entry["choice"]["grid"].index(curve["weight"])])
