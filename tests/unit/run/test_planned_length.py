"""A run whose rate falls, or that switches after a share of its steps, keeps the length that it was planned for."""

import pytest

from ltrec.core.errors import UserError
from ltrec.run.train import train
from tests.support.killed_run import train_killed
from tests.support.tiny_run import checkpoint, column, refuse_differences, tiny_config

SHARE = ("gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.by=share", "plugin.switch.at=0.25")


@pytest.mark.parametrize("epochs", [2, 5])
@pytest.mark.parametrize("killed_at", [6, None], ids=["in the middle", "after the end"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_another_length_is_refused_under_a_falling_rate(data, tmp_path, epochs, killed_at, schedule):
    config = tiny_config(data, tmp_path, f"optim.schedule={schedule}")
    train(config) if killed_at is None else train_killed(config, killed_at)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as caught:
        train(tiny_config(data, tmp_path, f"optim.schedule={schedule}", f"trainer.max_epochs={epochs}"))
    step = killed_at or 12
    assert str(caught.value).startswith(f"trainer.max_epochs={epochs} changes the plan midway (")
    assert (
        f"is planned over 12 steps, this run over {4 * epochs}): by optim.schedule={schedule} the rate at step {step} goes from "
        in str(caught.value)
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    train(config)
    assert checkpoint(tmp_path / "r")["global_step"] == 12, "the length it began with is still right"


def test_the_message_names_the_rates_of_both_plans(data, tmp_path):
    words = ("optim.warmup_steps=0", "optim.schedule=linear")
    train_killed(tiny_config(data, tmp_path, *words), 6)
    with pytest.raises(UserError, match=r"at step 6 goes from 0\.455 to 0\.684 of its peak"):  # 1 - 6/11 and 1 - 6/19
        train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=5"))


def test_under_a_constant_rate_a_run_may_become_longer_and_is_the_longer_run(data, tmp_path):
    words = ("optim.schedule=constant", "trainer.log_every_steps=1")
    longer = train(tiny_config(data, tmp_path / "longer", *words, "trainer.max_epochs=4"))
    train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=2"))
    run = train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=4"))
    refuse_differences(run.path, longer.path)


def test_a_length_that_max_steps_decides_is_not_changed_by_epochs(data, tmp_path):
    train_killed(tiny_config(data, tmp_path, "trainer.max_steps=8"), 5)
    train(tiny_config(data, tmp_path, "trainer.max_steps=8", "trainer.max_epochs=50"))
    assert checkpoint(tmp_path / "r")["global_step"] == 8


def test_a_switch_after_a_share_of_the_run_is_planned_as_well(data, tmp_path):
    words = (*SHARE, "optim.schedule=constant")
    train_killed(tiny_config(data, tmp_path, *words), 2)
    with pytest.raises(UserError, match=r"by plugin\.switch\.by=share the second stage begins at another step; resume with"):
        train(tiny_config(data, tmp_path, *words, "trainer.max_epochs=6"))


def test_a_new_run_from_another_checkpoint_has_its_own_plan_and_says_so(data, tmp_path, capsys):
    old = train(tiny_config(data, tmp_path)).checkpoints / "last.ckpt"
    capsys.readouterr()
    run = train(tiny_config(data, tmp_path, "name=new", f"resume={old}", "trainer.max_epochs=5", "trainer.log_every_steps=1"))
    said = capsys.readouterr().err
    assert f"{old} is planned over 12 steps, this run over 20: by optim.schedule=cosine the rate at step 12 goes from 0 to " in said
    assert column(run.path, "lr")[1] > 0
