"""Schedules at their corners; AdamW's groups cover every parameter once."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.optim.build import adamw
from ltrec.optim.config import OptimConfig
from ltrec.optim.schedule import SCHEDULES, schedule


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(0, 20), st.integers(1, 200), st.floats(0, 1))
def test_factor_stays_in_bounds_and_never_rises_after_warmup(name, warmup, total, final):
    factor = schedule(name, warmup_steps=warmup, total_steps=total, final_ratio=final)
    values = [factor(s) for s in range(total)]
    assert all(0 <= v <= 1 for v in values)
    after = values[warmup:]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(after))


def test_corners():
    cosine = schedule("cosine", warmup_steps=4, total_steps=11, final_ratio=0.1)
    assert [round(cosine(s), 6) for s in (0, 3, 4, 7, 10)] == [0.2, 0.8, 1.0, 0.55, 0.1]
    linear = schedule("linear", warmup_steps=0, total_steps=5, final_ratio=0.0)
    assert [linear(s) for s in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert schedule("constant", warmup_steps=0, total_steps=1, final_ratio=0.0)(10**6) == 1.0


def test_unknown_schedule_suggests():
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        schedule("cosin", warmup_steps=0, total_steps=1, final_ratio=0.0)


def test_groups():
    model = torch.nn.ModuleDict({"table": torch.nn.Embedding(5, 3), "linear": torch.nn.Linear(3, 3), "norm": torch.nn.LayerNorm(3)})
    optimizer = adamw(model, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.99), eps=1e-8)
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert len(decay) == len(list(model.parameters()))
    assert [n for n, p in model.named_parameters() if decay[id(p)] > 0] == ["linear.weight"]


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"final_ratio": 2.0}, {"clip_norm": -1.0}])
def test_bad_values_are_refused(bad):
    with pytest.raises(ValueError):
        OptimConfig(**bad)


def linear(scaler, poison=1.0):
    """Weights after one clipped AdamW step with or without a loss scale."""
    torch.manual_seed(0)
    model, x = torch.nn.Linear(4, 3), torch.arange(8.0).reshape(2, 4)
    optimizer = adamw(model, lr=0.1, weight_decay=0.0, betas=(0.9, 0.99), eps=1e-3)
    (scaler.scale(model(x).square().sum() * poison) if scaler else model(x).square().sum()).backward()
    if scaler:
        scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    if scaler:
        scaler.step(optimizer)
        scaler.update()
    else:
        optimizer.step()
    return model.weight.detach(), norm


def test_with_a_loss_scale_the_true_gradient_is_clipped():
    """The fused AdamW leaves the scale to the scaler, or nobody could clip between the two."""
    plain, norm = linear(None)
    scaled, its_norm = linear(torch.amp.GradScaler("cpu", init_scale=1024))
    torch.testing.assert_close(its_norm, norm)
    torch.testing.assert_close(scaled, plain)


def test_an_overflow_skips_the_step_and_lowers_the_scale():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024)
    torch.manual_seed(0)
    untouched = torch.nn.Linear(4, 3).weight.detach()
    weight, _ = linear(scaler, poison=float("inf"))
    assert torch.equal(weight, untouched) and scaler.get_scale() == 512
