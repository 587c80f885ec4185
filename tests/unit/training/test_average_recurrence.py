"""The recurrence of the average against the definition, over steps that are taken and steps that are not."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.training.callbacks.weight_average import WeightAverage, decay_of
from tests.support.naive_average import naive_average


class Toy:
    """A module of a few parameters, an optimiser that moves them, and a trainer as the callback sees it."""

    def __init__(self, ema, steps_per_epoch):
        self.module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=1.0)
        strategy = SimpleNamespace(lightning_module=self.module, optimizers=[self.optimizer])
        self.trainer = SimpleNamespace(strategy=strategy, num_training_batches=2 * steps_per_epoch, accumulate_grad_batches=2)
        self.callback = WeightAverage(ema)
        self.callback.on_train_start(self.trainer, self.module)

    def weights(self):
        return torch.cat([p.detach().double().flatten() for p in self.module.parameters()])

    def average(self):
        return torch.cat([p.double().flatten() for p in self.callback.average])

    def step(self, generator, taken):
        """Two micro-batches and a step, or one that is left out."""
        self.callback.on_train_batch_end(self.trainer, self.module, None, None, 0)
        for p in self.module.parameters():
            p.grad = torch.randn(p.shape, generator=generator) if taken else None
        self.optimizer.step()
        self.callback.on_train_batch_end(self.trainer, self.module, None, None, 1)


@given(
    ema=st.one_of(st.floats(1e-3, 0.9999), st.floats(1, 50)),
    steps_per_epoch=st.integers(2, 40),
    taken=st.lists(st.sampled_from([True, True, True, False]), max_size=60),
    seed=st.integers(0, 99),
)
def test_the_average_is_the_naive_recurrence(ema, steps_per_epoch, taken, seed):
    toy, generator = Toy(ema, steps_per_epoch), torch.Generator().manual_seed(seed)
    path = [toy.weights()]
    for takes in taken:
        toy.step(generator, takes)
        path += [toy.weights()] if takes else []
    assert toy.callback.updates == sum(taken)
    torch.testing.assert_close(toy.average(), naive_average(path, ema, steps_per_epoch), rtol=1e-5, atol=1e-5)


@given(steps=st.integers(1, 30), seed=st.integers(0, 9))
def test_showing_the_average_and_back_changes_no_bit(steps, seed):
    toy, generator = Toy(0.5, 4), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        toy.step(generator, True)
    weights, average = toy.weights(), toy.average()
    with toy.callback.shown():
        assert torch.equal(toy.weights(), average) and torch.equal(toy.average(), weights)
    assert torch.equal(toy.weights(), weights) and torch.equal(toy.average(), average)


@pytest.mark.parametrize(("ema", "decay"), [(0.995, 0.995), (1, 0.99), (2.5, 0.996)])
def test_decay_is_told_per_step_or_by_epochs(ema, decay):
    assert decay_of(ema, 100) == pytest.approx(decay)


@pytest.mark.parametrize("value", ["-0.1", "-1", ".nan", ".inf", "1e10", "yes", "true", "null"])
def test_values_that_are_no_average_are_refused(value):
    with pytest.raises(UserError, match=r"ema"):
        load([], [f"trainer.ema={value}"])


def test_a_step_that_a_loss_scaler_skips_is_not_averaged():
    """trainer.precision=16-mixed: the scaler never calls the optimiser."""
    toy, scaler = Toy(0.5, 4), torch.amp.GradScaler("cpu", init_scale=2.0)
    for value in (1.0, math.inf, 1.0):
        toy.optimizer.zero_grad()
        scaler.scale(toy.module(torch.full((1, 2), value)).sum()).backward()
        scaler.step(toy.optimizer)
        scaler.update()
        toy.callback.on_train_batch_end(toy.trainer, toy.module, None, None, 1)
    assert toy.callback.updates == 2 and toy.average().isfinite().all()
