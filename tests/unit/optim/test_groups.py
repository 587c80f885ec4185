"""Groups of parameters: in order, told apart from decay, dropped and forgotten without touching the other."""

import copy

import pytest
import torch
from torch import nn

from ltrec.optim.build import adamw
from ltrec.optim.groups import GROUPS, PLUGINS, TRUNK, drop_gradients, forget, hold_still


def group_of(name):
    return PLUGINS if name.startswith("plugin") else TRUNK


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.ModuleDict({"plugin": nn.Linear(3, 2), "trunk": nn.Linear(3, 3), "table": nn.Embedding(4, 3)})


def optimizer_of(model):
    return adamw(model, lr=0.1, weight_decay=0.5, betas=(0.9, 0.99), eps=1e-8, group_of=group_of)


def step(model, optimizer, *, dropped=None):
    optimizer.zero_grad()
    hidden = model["trunk"](model["table"](torch.arange(4)))
    model["plugin"](hidden).square().sum().backward()
    if dropped:
        drop_gradients(optimizer, dropped)
    optimizer.step()


def values(model, name):
    return {key: value.clone() for key, value in model[name].state_dict().items()}


def test_the_trunk_comes_first_and_each_group_is_decayed_as_before(model):
    entries = optimizer_of(model).param_groups
    assert [entry["name"] for entry in entries] == [TRUNK, TRUNK, PLUGINS, PLUGINS]
    assert tuple(dict.fromkeys(entry["name"] for entry in entries)) == GROUPS
    assert [entry["weight_decay"] for entry in entries] == [0.5, 0.0, 0.5, 0.0]
    found = [{id(p) for p in entry["params"]} for entry in entries]
    trunk, plugin = model["trunk"], model["plugin"]
    assert found == [{id(trunk.weight)}, {id(trunk.bias), id(model["table"].weight)}, {id(plugin.weight)}, {id(plugin.bias)}]


def test_without_groups_everything_is_trunk(model):
    entries = adamw(model, lr=0.1, weight_decay=0.5, betas=(0.9, 0.99), eps=1e-8).param_groups
    assert [entry["name"] for entry in entries] == [TRUNK, TRUNK]


@pytest.mark.parametrize(("dropped", "moved"), [(PLUGINS, "trunk"), (TRUNK, "plugin")])
def test_a_dropped_group_is_not_updated_decayed_or_counted(model, dropped, moved):
    optimizer, before = optimizer_of(model), copy.deepcopy(model)
    for _ in range(3):
        step(model, optimizer, dropped=dropped)
    for name in ("trunk", "plugin", "table"):
        same = all(torch.equal(a, b) for a, b in zip(model[name].parameters(), before[name].parameters(), strict=True))
        assert same == (name != moved and (name == "plugin") == (dropped == PLUGINS)), name
    idle = [p for entry in optimizer.param_groups if entry["name"] == dropped for p in entry["params"]]
    assert all(p not in optimizer.state for p in idle)


def test_a_forgotten_group_goes_on_like_a_fresh_optimiser(model):
    """Its moments, and the count of steps that corrects them."""
    optimizer = optimizer_of(model)
    for _ in range(5):
        step(model, optimizer)
    fresh = copy.deepcopy(model)
    forget(optimizer, PLUGINS)
    step(model, optimizer)
    step(fresh, optimizer_of(fresh))
    for mine, theirs in zip(model["plugin"].parameters(), fresh["plugin"].parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(model["trunk"].weight, fresh["trunk"].weight), "the other group remembers"


def test_what_was_never_stepped_can_be_forgotten(model):
    forget(optimizer_of(model), PLUGINS)


def test_what_is_held_still_gets_a_gradient_of_zeros(model):
    hold_still(model["trunk"].parameters())
    model["plugin"](model["trunk"](torch.ones(1, 3))).sum().backward()
    assert not model["trunk"].weight.grad.any() and not model["trunk"].bias.grad.any()
    assert model["plugin"].weight.grad.any()
