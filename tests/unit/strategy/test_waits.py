"""A step does not wait for the device, but once where a decision needs its numbers. Counted on the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from benchmarks.harness.steps import WAYS, Size, batches_of, fit, tensors_on_device, weights_of
from benchmarks.harness.waits import Waits
from ltrec.distributed.touched_table import TouchedTable

STEPS, FIRST = 3, 1
SMALL = Size(rows=24, max_len=8, items=60, width=8, strata=3)
SAMPLED = replace(SMALL, objective="sampled_softmax", options={"negatives": 16, "scope": "shared"}, touched=True)

CASES = {
    "joint": (0, SMALL),
    "weighted": (1, SMALL),
    "per_stratum": (1, SMALL),
    "gram rule": (1, SMALL),
    "plugins": (1, SMALL),
    "LTP": (1, SMALL),
}
"""Waits of a step. The one is the decision whether the gradient is finite, with the numbers that rules and telemetry read."""


class Watch(pl.Callback):
    """Counts from the second step on: in the first, loader and module are compared, and the optimiser has no state yet."""

    def __init__(self):
        self.waits = Waits()

    def on_train_batch_start(self, trainer, module, batch, index):
        if index >= FIRST:
            self.waits.mark(tensors_on_device(module, batch))
            self.waits.mark(value for state in trainer.optimizers[0].state.values() for value in state.values())
            self.waits.__enter__()

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if index >= FIRST:
            self.waits.__exit__(None, None, None)


def waits_of(size, way):
    watch = Watch()
    fit(size, WAYS[way], batches_of(size, STEPS), [watch])
    return watch.waits


@pytest.mark.parametrize("way", CASES)
def test_waits_of_a_step(way):
    expected, size = CASES[way]
    found = waits_of(size, way)
    assert found.total == expected * (STEPS - FIRST), "\n".join(found.lines())


@pytest.mark.parametrize(("way", "expected"), [("joint", 0), ("per_stratum", 1)])
def test_waits_of_a_step_with_touched_rows(monkeypatch, way, expected):
    monkeypatch.setattr(TouchedTable, "is_exact", lambda table, device: False)  # as on one accelerator
    found = waits_of(SAMPLED, way)
    assert found.total == expected * (STEPS - FIRST), "\n".join(found.lines())


@pytest.mark.parametrize("way", ["joint", "per_stratum"])
def test_more_places_than_distinct_rows_change_nothing(monkeypatch, way):
    exact = fit(SAMPLED, WAYS[way], batches_of(SAMPLED, STEPS), [])
    monkeypatch.setattr(TouchedTable, "is_exact", lambda table, device: False)
    roomy = fit(SAMPLED, WAYS[way], batches_of(SAMPLED, STEPS), [])
    assert {name: torch.equal(a, weights_of(roomy)[name]) for name, a in weights_of(exact).items()} == dict.fromkeys(
        weights_of(exact), True
    )


def test_a_batch_that_the_host_does_not_know_gives_the_same_bits():
    size = replace(SMALL, backbone="gru4rec")
    known = fit(size, WAYS["plugins"], batches_of(size, STEPS), [])
    told = [replace(batch, host=None) for batch in batches_of(size, STEPS)]
    unknown = fit(size, WAYS["plugins"], told, [])
    assert all(torch.equal(a, weights_of(unknown)[name]) for name, a in weights_of(known).items())


# -- the counter itself ----------------------------------------------------------------------------------------------------------

READS = {
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0] > 0),
    "float": lambda x: float(x.sum()),
    "if": lambda x: 1 if x.any() else 0,
    "tolist": lambda x: (2 * x).tolist(),
    "numpy": lambda x: np.asarray(x.numpy()),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "mask written": lambda x: x.clone().__setitem__(x > 0, 1.0),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "bincount": lambda x: x.long().bincount(minlength=9),
    "repeat_interleave": lambda x: x.repeat_interleave(x.long()),
    "copied": lambda x: torch.zeros(4).copy_(x),
    "equal": lambda x: torch.equal(x, x),
    "uploaded": lambda x: torch.tensor([1, 2], device=x.device),
}
FREE = {
    "arithmetic": lambda x: (x @ x + x.sum()).exp(),
    "index": lambda x: x[torch.tensor([0, 1])],
    "sort": lambda x: x.argsort(stable=True),
    "where": lambda x: torch.where(x > 0, x, 0),
    "known size": lambda x: x.repeat_interleave(x.long(), output_size=6),
    "shape": lambda x: [0] * x.shape[0],
    "host": lambda x: torch.ones(3).tolist(),
}


@pytest.mark.parametrize("name", READS)
def test_every_kind_of_wait_is_counted(name):
    waits, x = Waits(), torch.arange(4.0)
    waits.mark([x])
    with waits:
        READS[name](x)
    assert waits.total == 1, waits.lines()


@pytest.mark.parametrize("name", FREE)
def test_what_does_not_wait_is_not(name):
    waits, x = Waits(), torch.arange(4.0)
    waits.mark([x])
    with waits:
        FREE[name](x)
    assert waits.total == 0, waits.lines()


def test_what_was_copied_to_the_host_may_be_read():
    waits, x = Waits(), torch.arange(4.0)
    waits.mark([x])
    with waits:
        there = x.cpu()
        there.sum().item()
        there.tolist()
    assert waits.total == 1


def test_a_wait_in_the_backward_pass_has_its_place():
    waits, x = Waits(), torch.arange(4.0).requires_grad_()
    waits.mark([x])
    with waits:
        x[x > 0].sum().backward()
    assert waits.total == 2
    assert {operation for operation, _ in waits.places} == {"mask as index"}
