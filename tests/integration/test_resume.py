"""Stop anywhere, resume, and the run ends bit for bit as if nothing had happened: weights, optimiser, metrics, cursor."""

import json
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import Callback

import ltrec.launch.training as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.stages.checkpoint_io import read_checkpoint
from tests.support.shards import random_users, write_dataset

STEPS_PER_EPOCH, EPOCHS = 4, 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    manifest = write_dataset(folder, random_users([40, 30, 20], num_items=30, longest=8), num_items=30)
    assert manifest.train_rows == 90
    return folder


def config(data, out, *words):
    base = [
        f"data.path={data}",
        f"out={out}",
        "name=r",
        "stream.batch_rows=24",
        "stream.lanes=24",
        "stream.max_len=6",
        "stream.window=random",
        "model.width=8",
        "model.heads=1",
        "model.dropout=0.3",
        "objective.negatives=8",
        f"trainer.max_epochs={EPOCHS}",
        "trainer.log_every_steps=3",
        "trainer.checkpoint_every_steps=1",
        "trainer.accelerator=cpu",
        "optim.schedule=cosine",
        "optim.warmup_steps=2",
    ]
    return load([], [*base, *words])


class Kill(BaseException):
    """Ends the process's work at once, as SIGKILL would: nothing that handles errors sees it coming."""


class KillAt(Callback):
    def __init__(self, step, hook):
        self.step, self.hook = step, hook

    def on_train_batch_end(self, trainer, *_):
        if self.hook == "batch" and trainer.global_step == self.step:
            raise Kill

    def on_validation_end(self, trainer, *_):
        if self.hook == "validation" and trainer.global_step == self.step:
            raise Kill


def run_killed(monkeypatch, configuration, step, hook, *, first):
    """Train until `step`, dying before or after the run's own callbacks acted."""
    make = training._working_callbacks

    def with_killer(*args):
        return [KillAt(step, hook), *make(*args)] if first else [*make(*args), KillAt(step, hook)]

    with monkeypatch.context() as patch:
        patch.setattr(training, "_working_callbacks", with_killer)
        with pytest.raises(Kill):
            training.train(configuration)


def outcome(folder: Path):
    state = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("throughput/targets_per_s", None)
    best = read_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]
    return state, lines, best


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    training.train(config(data, out))
    return outcome(out / "r")


@pytest.mark.parametrize("first", [True, False], ids=["before-saving", "after-saving"])
@pytest.mark.parametrize(
    ("step", "hook"),
    [(s, "batch") for s in range(1, STEPS_PER_EPOCH * EPOCHS + 1)] + [(s, "validation") for s in (4, 8, 12)],
)
def test_killed_and_resumed_equals_undisturbed(data, undisturbed, tmp_path, monkeypatch, step, hook, first):
    configuration = config(data, tmp_path)
    run_killed(monkeypatch, configuration, step, hook, first=first)
    training.train(configuration)
    state, lines, best = outcome(tmp_path / "r")
    good_state, good_lines, good_best = undisturbed
    assert state["global_step"] == STEPS_PER_EPOCH * EPOCHS
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "StreamDataModule", "callbacks"):
        assert same(state[key], good_state[key]), key
    assert lines == good_lines
    assert same(best, good_best)


@pytest.mark.parametrize(
    "words", [[], ["trainer.max_epochs=50", "trainer.patience=1", "optim.lr=1e-9"]], ids=["finished", "stopped early"]
)
def test_finished_run_is_left_alone(data, tmp_path, words):
    configuration = config(data, tmp_path, *words)
    training.train(configuration)
    assert read_checkpoint(tmp_path / "r" / "checkpoints" / "last.ckpt")["epoch"] < 10
    before = (tmp_path / "r" / "checkpoints" / "last.ckpt").read_bytes()
    training.train(configuration)
    assert (tmp_path / "r" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_other_config_other_data_and_damage_are_refused(data, tmp_path):
    training.train(config(data, tmp_path, "trainer.max_epochs=1"))
    with pytest.raises(UserError, match=r"optim\.lr=0\.001 there, 0\.01 here"):
        training.train(config(data, tmp_path, "optim.lr=0.01"))
    with pytest.raises(UserError, match="holds a run already"):
        training.train(config(data, tmp_path, "resume=never"))
    write_dataset(tmp_path / "other", random_users([40, 30, 20], num_items=30, longest=8, seed=1), num_items=30)
    with pytest.raises(UserError, match=r"data\.path"):
        training.train(config(tmp_path / "other", tmp_path))
    last = tmp_path / "r" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        training.train(config(data, tmp_path))


def test_same_path_with_other_data_is_refused(tmp_path):
    folder = tmp_path / "data"
    write_dataset(folder, random_users([40, 30, 20], num_items=30, longest=8), num_items=30)
    training.train(config(folder, tmp_path, "trainer.max_epochs=1"))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_dataset(folder, random_users([40, 30, 20], num_items=30, longest=8, seed=2), num_items=30)
    with pytest.raises(UserError, match="another data set"):
        training.train(config(folder, tmp_path))
