"""Gradient alignment with the first tasks of all trajectories in one pass comes to what it comes to task by task."""

import pytest
from torch.testing import assert_close

from benchmarks.harness.steps import Size, Way, batches_of, fit, weights_of
from ltrec.distributed.alignment import first_steps
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.training.module import BackboneModule

SIZE = Size(rows=12, max_len=6, items=20, width=4, strata=3, dropout=0.3)
ALIGNED = {
    "users": AlignmentConfig(inner_steps=2),
    "chains": AlignmentConfig(inner_steps=3, trajectories=2),
    "one step": AlignmentConfig(inner_steps=1),
    "strata": AlignmentConfig(tasks="stratum", trajectories=3),
    "one chain": AlignmentConfig(tasks="stratum"),
}
PASSES = {"users": 7, "chains": 5, "one step": 1, "one chain": 3}
"""Forward passes of a step: one for all first tasks, and one for each of the others."""


def trained(name, source, size=SIZE, steps=2):
    way = Way(mode="aligned", alignment=ALIGNED[name], source=source)
    return weights_of(fit(size, way, batches_of(size, steps), [], precision="64-true"))


@pytest.mark.parametrize("name", ALIGNED)
def test_the_update_is_that_of_task_by_task(name):
    assert_close(trained(name, "auto"), trained(name, "split"), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("numbers", [1, 1500])
def test_gradients_held_at_a_time_change_nothing(numbers, monkeypatch):
    expected = trained("users", "split")
    monkeypatch.setattr(first_steps, "MOST_NUMBERS", numbers)
    assert_close(trained("users", "auto"), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PASSES)
def test_the_first_tasks_share_a_pass(name, monkeypatch):
    calls, losses = [], BackboneModule.losses

    def counted(module, batch):
        calls.append(batch.num_rows)
        return losses(module, batch)

    monkeypatch.setattr(BackboneModule, "losses", counted)
    trained(name, "auto", steps=1)
    assert len(calls) == PASSES[name]
