"""One folder holds one run: when it is resumed, refused, begun afresh, and what is cleared away."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ltrec.config.identity import FREE_TO_CHANGE
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.seal import opened
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.begin import begin_run
from ltrec.run.folder.config_file import read_config
from ltrec.run.folder.find_run import find_run
from ltrec.run.folder.provenance_file import run_id


def configured(out, *words):
    return load([], [f"out={out}", "name=r", "data.path=d", *words])


def begun(out, *words, checkpoints=("last",)) -> RunFolder:
    """A run folder as training leaves it."""
    config = configured(out, *words)
    run, resume = find_run(config)
    assert resume is None
    begin_run(run, config, {"run_id": "1"}, fresh=True)
    for name in checkpoints:
        (run.checkpoints / f"{name}.ckpt").write_bytes(b"x")
    run.metrics.write_text("{}\n")
    return run


def test_a_new_run_starts_at_the_beginning_and_finding_it_writes_nothing(tmp_path):
    run, resume = find_run(configured(tmp_path))
    assert (run.path, resume) == (tmp_path / "r", None)
    assert list(tmp_path.iterdir()) == []


def test_begin_leaves_a_config_that_reloads_to_the_same_run(tmp_path):
    run = begun(tmp_path, "optim.lr=3e-4", "tracking.tags=[a]")
    assert read_config(run) == configured(tmp_path, "optim.lr=3e-4", "tracking.tags=[a]")
    assert run_id(run) == "1"


def test_auto_resumes_the_last_checkpoint(tmp_path):
    run = begun(tmp_path, checkpoints=("last", "best"))
    assert find_run(configured(tmp_path)) == (run, run.checkpoints / "last.ckpt")


def test_a_run_that_died_before_its_first_checkpoint_starts_over(tmp_path):
    run = begun(tmp_path, checkpoints=("best",))
    run.metrics.write_text('{"train/loss": 1}\n{"val/ndcg@10": 0.1}\n')
    config = configured(tmp_path)
    found, resume = find_run(config)
    begin_run(found, config, {"run_id": "2"}, fresh=resume is None)
    assert not run.metrics.exists() and list(run.checkpoints.iterdir()) == []
    assert (read_config(run), run_id(run)) == (config, "2")


def test_never_refuses_a_folder_with_a_checkpoint(tmp_path):
    begun(tmp_path)
    with pytest.raises(UserError, match="holds a run already: choose another name"):
        find_run(configured(tmp_path, "resume=never"))


def test_a_named_checkpoint_must_exist(tmp_path):
    with pytest.raises(UserError, match=r"resume=.*no\.ckpt: no such checkpoint; use auto, never or a path"):
        find_run(configured(tmp_path, f"resume={tmp_path}/no.ckpt"))


def test_a_new_run_may_begin_from_another_runs_checkpoint(tmp_path):
    old = begun(tmp_path)
    start = old.checkpoints / "last.ckpt"
    config = configured(tmp_path, "name=new", f"resume={start}")
    run, resume = find_run(config)
    assert resume == start
    begin_run(run, config, {"run_id": "7"}, fresh=False)
    assert run_id(run) == "7", "it has a provenance of its own"


def test_resuming_keeps_the_provenance(tmp_path):
    run = begun(tmp_path)
    begin_run(run, configured(tmp_path, "trainer.max_epochs=7"), {"run_id": "other"}, fresh=False)
    assert run_id(run) == "1"
    assert read_config(run).trainer.max_epochs == 7
    assert run.metrics.exists()


@pytest.mark.parametrize(
    "word",
    [
        "seed=1",
        "optim.lr=0.5",
        "model.width=32",
        "stream.batch_rows=96",
        "objective.name=softmax",
        "trainer.accumulate=2",
        "trainer.max_steps=7",
    ],
)
def test_another_config_is_another_run(tmp_path, word):
    begun(tmp_path)
    with pytest.raises(UserError, match=rf"holds a run with another config .*{word.split('=')[0]}.*choose another name"):
        find_run(configured(tmp_path, word))


@pytest.mark.parametrize(
    "word",
    [
        "data.path=moved",
        "trainer.max_epochs=7",
        "trainer.patience=3",
        "trainer.progress=false",
        "trainer.threads=1",
        "trainer.accelerator=cpu",
        "trainer.log_every_steps=7",
        "trainer.checkpoint_every_steps=7",
        "tracking.wandb=offline",
        "evaluation.top_k=70",
        "prepare.strata=3",
        "resume=auto",
    ],
)
def test_how_long_where_and_how_it_is_shown_may_change(tmp_path, word):
    run = begun(tmp_path)
    assert find_run(configured(tmp_path, word))[1] == run.checkpoints / "last.ckpt"
    assert word.split("=")[0].startswith(FREE_TO_CHANGE)


def test_temporary_files_of_a_killed_writer_are_removed(tmp_path):
    run = begun(tmp_path)
    torn = [run.path / ".config.yaml.77.tmp", run.checkpoints / ".last.ckpt.77.tmp"]
    for path in torn:
        path.write_bytes(b"half")
    begin_run(run, configured(tmp_path), {}, fresh=False)
    assert [path for path in torn if path.exists()] == []
    assert (run.checkpoints / "last.ckpt").exists()


def test_a_checkpoint_is_chosen_by_name_and_best_falls_back_to_last(tmp_path):
    run = begun(tmp_path, checkpoints=("last", "best"))
    assert [find_checkpoint(run, which).name for which in ("best", "last")] == ["best.ckpt", "last.ckpt"]
    (run.checkpoints / "best.ckpt").unlink()
    assert find_checkpoint(run, "best").name == "last.ckpt"
    (run.checkpoints / "last.ckpt").unlink()
    with pytest.raises(UserError, match="holds no checkpoint: train the run first"):
        find_checkpoint(run, "best")


def test_last_never_means_best(tmp_path):
    run = begun(tmp_path, checkpoints=("best",))
    with pytest.raises(UserError, match="holds no checkpoint"):
        find_checkpoint(run, "last")
    with pytest.raises(UserError, match="--checkpoint first: it must be best, last or previous"):
        find_checkpoint(run, "first")


def test_a_folder_without_a_config_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        read_config(RunFolder(tmp_path))


def test_provenance_is_json_with_a_final_newline(tmp_path):
    text = begun(tmp_path).provenance.read_text()
    assert opened(text) == {"run_id": "1"} and json.loads(text).keys() == {"run_id", "sha256"} and text.endswith("}\n")


def test_out_is_part_of_the_place_only(tmp_path):
    run = begun(tmp_path / "a")
    moved = Path(tmp_path / "b")
    moved.mkdir()
    run.path.rename(moved / "r")
    assert find_run(replace(configured(tmp_path), out=str(moved)))[1] == moved / "r" / "checkpoints" / "last.ckpt"


def test_listing_a_run_folder_does_not_load_torch(tmp_path, monkeypatch):
    """The folder's rules look at names; what is inside a checkpoint is `resuming`'s business."""
    run = begun(tmp_path)
    monkeypatch.setattr(torch, "load", pytest.fail)
    assert find_run(configured(tmp_path))[1] == run.checkpoints / "last.ckpt"
