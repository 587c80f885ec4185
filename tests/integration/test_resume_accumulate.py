"""Resuming with another number of micro-batches per step: the run is the same up to rounding."""

import pytest
import torch

import ltrec.run.train as training
from ltrec.training.checkpoints.recount import recount_batches
from tests.support.killed_run import train_killed
from tests.support.tiny_run import checkpoint, tiny_config, tiny_data


@pytest.mark.parametrize("gradients", ["joint", "stratified"])
def test_more_micro_batches_from_mid_epoch_or_its_end_change_nothing(tmp_path, gradients):
    data = tiny_data(tmp_path / "data")
    words = [f"gradients.name={gradients}", "model.dropout=0", "trainer.max_epochs=2"]
    good = checkpoint(training.train(tiny_config(data, tmp_path / "good", *words)).path)["state_dict"]
    for step, hook in ((3, "batch"), (4, "validation")):
        here = tmp_path / str(step)
        train_killed(tiny_config(data, here, *words), step, hook, first=False)
        last = here / "r" / "checkpoints" / "last.ckpt"
        training.train(tiny_config(data, here, *words, "name=other", "trainer.accumulate=2", f"resume={last}"))
        state = checkpoint(here / "other")
        assert state["global_step"] == 8
        for name, value in state["state_dict"].items():
            torch.testing.assert_close(value, good[name], rtol=0, atol=1e-4)


def loops(steps, **batches):
    step = {"optimizer": {"step": {"current": {"ready": steps}}}}
    loop = {"epoch_loop.batch_progress": {"current": batches}, "epoch_loop.automatic_optimization.optim_progress": step}
    return {"loops": {"fit_loop": loop}}


def test_only_counts_of_another_accumulation_are_translated():
    for checkpoint_, accumulate, expected in (
        (loops(3, ready=3, completed=2), 2, {"ready": 6, "completed": 5}),
        (loops(3, ready=6, completed=6), 1, {"ready": 3, "completed": 3}),
        (loops(3, ready=6, completed=5), 2, {"ready": 6, "completed": 5}),
        (loops(0, ready=0, completed=0), 4, {"ready": 0, "completed": 0}),
    ):
        recount_batches(checkpoint_, accumulate)
        assert checkpoint_["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"] == expected
