"""Stop anywhere, resume, and the run ends bit for bit as if nothing had happened: weights, optimiser, metrics, cursor."""

import shutil

import pytest

import ltrec.run.train as training
from ltrec.core.errors import UserError
from tests.support.killed_run import train_killed
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, refuse_differences, tiny_config, tiny_data

EPOCHS = 3


@pytest.mark.parametrize("first", [True, False], ids=["before-saving", "after-saving"])
@pytest.mark.parametrize(
    ("step", "hook"),
    [(s, "batch") for s in range(1, STEPS_PER_EPOCH * EPOCHS + 1)] + [(s, "validation") for s in (4, 8, 12)],
)
def test_killed_and_resumed_equals_undisturbed(data, undisturbed, tmp_path, step, hook, first):
    configuration = tiny_config(data, tmp_path)
    train_killed(configuration, step, hook, first=first)
    training.train(configuration)
    assert checkpoint(tmp_path / "r")["global_step"] == STEPS_PER_EPOCH * EPOCHS
    refuse_differences(tmp_path / "r", undisturbed)


@pytest.mark.parametrize("words", [["trainer.ema=0.9"], ["trainer.ema=1", "trainer.accumulate=2", "gradients.name=stratified"]])
def test_the_average_of_the_weights_resumes_too(data, tmp_path, words):
    """Killed in mid-epoch, at an epoch's end before and after its checkpoint, and in the end."""
    words = [*words, "optim.lr=0.05"]
    good = training.train(tiny_config(data, tmp_path / "good", *words)).path
    assert checkpoint(good)["average"]["updates"] == STEPS_PER_EPOCH * EPOCHS
    here = tiny_config(data, tmp_path / "here", *words)
    for step, hook, first in ((2, "batch", False), (4, "validation", True), (8, "validation", False), (11, "batch", True)):
        train_killed(here, step, hook, first=first)
    refuse_differences(training.train(here).path, good)


@pytest.mark.parametrize("limit", [10, 12])
def test_a_limit_of_steps_changes_nothing_about_resuming(data, tmp_path, limit):
    """From the end of an epoch, twice; the limit lies in mid-epoch, or where the epochs end too."""
    words = [f"trainer.max_steps={limit}", "trainer.max_epochs=3", "trainer.checkpoint_every_steps=0"]
    good = training.train(tiny_config(data, tmp_path / "good", *words)).path
    here = tiny_config(data, tmp_path / "here", *words)
    train_killed(here, 5)
    train_killed(here, 9)
    run = training.train(here).path
    assert checkpoint(run)["global_step"] == limit
    refuse_differences(run, good)


@pytest.mark.parametrize(
    "words",
    [[], ["trainer.max_epochs=50", "trainer.patience=1", "optim.lr=1e-9"], ["trainer.max_steps=6"], ["trainer.max_steps=8"]],
    ids=["finished", "stopped early", "steps, mid-epoch", "steps"],
)
def test_finished_run_is_left_alone(data, tmp_path, words):
    configuration = tiny_config(data, tmp_path, *words)
    training.train(configuration)
    assert checkpoint(tmp_path / "r")["epoch"] < 10
    before = (tmp_path / "r" / "checkpoints" / "last.ckpt").read_bytes()
    training.train(configuration)
    assert (tmp_path / "r" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_another_config_and_other_data_are_refused(data, tmp_path):
    training.train(tiny_config(data, tmp_path, "trainer.max_epochs=1"))
    with pytest.raises(UserError, match=r"optim\.lr=0\.001 there, 0\.01 here"):
        training.train(tiny_config(data, tmp_path, "optim.lr=0.01"))
    with pytest.raises(UserError, match="holds a run already"):
        training.train(tiny_config(data, tmp_path, "resume=never"))
    tiny_data(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match="another data set"):
        training.train(tiny_config(tmp_path / "other", tmp_path))


def test_same_path_with_other_data_is_refused(tmp_path):
    folder = tmp_path / "data"
    tiny_data(folder)
    training.train(tiny_config(folder, tmp_path, "trainer.max_epochs=1"))
    shutil.rmtree(folder)
    tiny_data(folder, seed=2)
    with pytest.raises(UserError, match="another data set"):
        training.train(tiny_config(folder, tmp_path))
