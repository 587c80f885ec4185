"""Schedules at their corners; AdamW's groups cover every parameter once."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.optim.build import OPTIMIZERS, adamw, optimizer_for
from ltrec.optim.config import AdamConfig, AdamWConfig, OptimConfig, SGDConfig
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
        AdamWConfig(**bad)


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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_its_options_groups_and_state(name):
    """One step down a slope, with decay on the matrix alone; its state survives a checkpoint and groups can stand still."""
    config = OPTIMIZERS[name].config(lr=0.1, weight_decay=0.5)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Embedding(3, 2))
    optimizer = optimizer_for(model, config)
    groups = [("trunk", 0.5, 0.1), ("trunk", 0.0, 0.1), *[("trunk", 0.0, 0.1)] * OPTIMIZERS[name].by_row]  # tables apart, by row
    assert [(g["name"], g["weight_decay"], g["lr"]) for g in optimizer.param_groups] == groups
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert all((p < old).all() for p, old in zip(list(model.parameters())[1:], before[1:], strict=True))
    again = optimizer_for(model, config)
    again.load_state_dict(optimizer.state_dict())
    assert again.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    assert optimizer._step_supports_amp_scaling is False


def test_options_arrive():
    model = torch.nn.Linear(2, 2)
    adam = optimizer_for(model, AdamConfig(beta1=0.8, beta2=0.7, eps=1e-3))
    assert type(adam) is torch.optim.Adam and adam.defaults["betas"] == (0.8, 0.7) and adam.defaults["eps"] == 1e-3
    sgd = optimizer_for(model, SGDConfig(momentum=0.9, nesterov=True))
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.9, True)
    assert type(optimizer_for(model, AdamWConfig())) is torch.optim.AdamW
    with pytest.raises(ValueError, match="nesterov=true needs momentum"):
        SGDConfig(nesterov=True)


@dataclass(frozen=True)
class SlowConfig(OptimConfig):
    name: str = "slow"
    factor: float = 0.5


@dataclass(frozen=True)
class OddConfig:
    name: str = "odd"


def test_an_optimizer_of_ones_own_is_chosen_by_its_name():
    def slow(groups, *, lr, factor):
        return torch.optim.SGD(groups, lr=lr * factor)

    OPTIMIZERS.register("slow", config=SlowConfig, build=slow)
    try:
        config = load([], ["optim.name=slow", "optim.lr=0.2", "optim.factor=0.25", "optim.clip_norm=1"]).optim
        assert optimizer_for(torch.nn.Linear(2, 2), config).defaults["lr"] == 0.05
        with pytest.raises(UserError, match=r"'optim.factor' .* belongs to optim 'slow', but optim.name is 'adamw'"):
            load([], ["optim.factor=1"])
    finally:
        OPTIMIZERS.remove("slow")
    with pytest.raises(UserError, match=r"optim.name=odd: OddConfig must extend OptimConfig"):
        OPTIMIZERS.register("odd", config=OddConfig, build=slow)


def test_a_schedule_of_ones_own_is_chosen_by_its_name():
    SCHEDULES.register("steps", build=lambda progress: 1.0 if progress < 0.5 else 0.1)
    try:
        rate = schedule(load([], ["optim.schedule=steps"]).optim.schedule, warmup_steps=0, total_steps=11, final_ratio=0.0)
        assert [rate(step) for step in (0, 4, 6, 10)] == [1.0, 1.0, 0.1, 0.1]
        assert SCHEDULES["steps"].needs_length
    finally:
        SCHEDULES.remove("steps")
