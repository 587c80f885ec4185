"""Bottleneck plugins: nothing at the start, each vector through its own, no gradient elsewhere."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ltrec.core.errors import UserError
from ltrec.models.backbones import BACKBONES
from ltrec.models.plugins import BottleneckConfig, WithPlugins, plug
from ltrec.models.plugins.by_stratum import by_stratum, put_back
from tests.support.sequences import histories, stir

STRATA = 3
NAMES = sorted(BACKBONES)
EVERY = pytest.mark.parametrize("name", NAMES)


def trunk_of(name, dtype=torch.float64):
    torch.manual_seed(0)
    return stir(BACKBONES[name].make(num_items=30, max_len=8, width=8, dropout=0.0)).to(dtype)


def plugged_of(name, *, awake=True, stirred=True, **options):
    model = plug(trunk_of(name), num_strata=STRATA, **options).double()
    if stirred:
        model.load_state_dict(
            {n: p + 0.3 * torch.randn_like(p) if n.startswith("plugins.") else p for n, p in model.state_dict().items()}
        )
    if awake:
        model.wake(0)
    return model.eval()


def batch_of(strata=(0, 2, 1, 0, 2), lengths=(3, 1, 5, 2, 4)):
    return histories(list(lengths), 30, strata=list(strata))


def candidates_of(batch):
    return torch.arange(batch.items_T.numel() * 3).view(-1, 3) % 30 + 1


def dyadic(plugin):
    """Small multiples of 1/4, so that sums are exact in any order."""
    for parameter in plugin.parameters():
        parameter.data.copy_((parameter.data * 8).round() / 4)
    return plugin


def straight(vectors, stratum_N, plugins):
    """Naive: one vector at a time."""
    return torch.stack([v if z < 0 else plugins[z](v[None])[0] for v, z in zip(vectors, stratum_N.tolist(), strict=True)])


@settings(max_examples=40)
@given(st.lists(st.integers(-1, STRATA - 1), min_size=1, max_size=12), st.booleans(), st.integers(0, 10**6))
def test_routing_is_one_vector_at_a_time(strata, wide, seed):
    g = torch.Generator().manual_seed(seed)
    plugins = [dyadic(nn.Linear(4, 4).double()) for _ in range(STRATA)]
    vectors = torch.randint(-8, 9, (len(strata), 2, 4) if wide else (len(strata), 4), generator=g).double() / 4
    stratum_N = torch.tensor(strata)
    routed = by_stratum(vectors, stratum_N, STRATA, lambda z, own: plugins[z](own))
    assert torch.equal(routed, straight(vectors, stratum_N, plugins))
    order = torch.randperm(len(strata), generator=g)
    assert torch.equal(by_stratum(vectors[order], stratum_N[order], STRATA, lambda z, own: plugins[z](own)), routed[order])


def test_each_function_is_called_once_and_none_in_vain():
    calls = []
    by_stratum(torch.zeros(5, 2), torch.tensor([2, 0, 2, -1, 0]), 4, lambda z, own: calls.append((z, len(own))) or own)
    assert calls == [(0, 2), (2, 2)]
    alone = torch.ones(3, 2)
    assert by_stratum(alone, torch.tensor([1, 1, 1]), 4, lambda z, own: own) is alone, "no sorting where there is one stratum"
    assert by_stratum(alone[:0], torch.zeros(0, dtype=torch.int64), 4, lambda z, own: own + 1).shape == (0, 2)


@EVERY
def test_in_at_the_start_it_changes_no_bit(name):
    trunk, batch, model = trunk_of(name).eval(), batch_of(), plugged_of(name, stirred=False)
    vectors = torch.randn(5, 3, 8, dtype=torch.float64)
    assert all(torch.equal(model.adapt(place, vectors, batch.stratum_B), vectors) for place in model.places)
    if hasattr(trunk, "encode"):
        assert torch.equal(model.encode(batch), trunk.encode(batch))
        assert torch.equal(model.final_states(batch), trunk.final_states(batch))
        assert torch.equal(model.scores(batch), trunk.scores(batch))
        return
    candidates_TM = candidates_of(batch)
    assert torch.equal(model.candidate_logits(batch, candidates_TM), trunk.candidate_logits(batch, candidates_TM))
    one = batch_of(strata=[1] * 5)  # the catalogue is scored stratum by stratum: the same numbers from products of other shapes
    assert torch.equal(model.scores(one), trunk.scores(one))
    assert torch.allclose(model.scores(batch)[:, 1:], trunk.scores(batch)[:, 1:], rtol=1e-12)


@pytest.mark.parametrize("form", ["identity", "released"])
def test_plugins_of_a_place_start_alike(form):
    for at_place in plugged_of("sasrec", stirred=False, form=form).plugins.values():
        first, *others = (plugin.state_dict() for plugin in at_place)
        assert len(others) == STRATA - 1
        assert all(torch.equal(first[key], other[key]) for other in others for key in first)


def test_the_released_form_starts_as_tanh_and_near_zero():
    model = plugged_of("sasrec", stirred=False, form="released")
    vectors, strata = torch.randn(6, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.allclose(model.adapt("state", vectors, strata), vectors.tanh(), atol=1e-5)
    plugin = model.plugins["at_state"][0]
    for layer, (fan_in, fan_out) in ((plugin.down, (8, 4)), (plugin.up, (4, 8))):
        bound = 1e-3 * (6 / (fan_in + fan_out)) ** 0.5
        assert 0.5 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()
    stirred = plugged_of("sasrec", form="released")
    own = stirred.plugins["at_state"][1]
    wanted = torch.tanh(vectors[1] + own.up.weight @ torch.tanh(own.down.weight @ vectors[1] + own.down.bias) + own.up.bias)
    assert torch.allclose(stirred.adapt("state", vectors, strata)[1], wanted)


@EVERY
def test_a_stratum_alone_scores_as_in_company(name):
    model, batch = plugged_of(name), batch_of()
    together = model.scores(batch)
    for row in range(batch.num_rows):
        alone = model.scores(batch.select(torch.tensor([row])))
        assert torch.allclose(alone[0, 1:], together[row, 1:], rtol=1e-12, atol=1e-12)
    sleeping = plugged_of(name, awake=False).scores(batch)
    assert (together[:, 1:] != sleeping[:, 1:]).any(1).all(), "every row goes through a plugin"


@EVERY
def test_rows_of_no_stratum_are_the_trunks(name):
    model, batch = plugged_of(name), batch_of(strata=(-1, 2, 1, -1, 0))
    bare = trunk_of(name).eval().scores(batch)
    same = torch.isclose(model.scores(batch)[:, 1:], bare[:, 1:], rtol=1e-12, atol=1e-12).all(1)
    assert same.tolist() == [True, False, False, True, False]


def loss_of(model, batch, rows):
    """Something of some rows' positions that depends on all a row has."""
    chosen_T = torch.isin(batch.row_of_position(), rows)
    if hasattr(model, "encode"):
        return model.encode(batch)[chosen_T].square().sum()
    return model.candidate_logits(batch, candidates_of(batch))[chosen_T].square().sum()


@EVERY
def test_a_strata_loss_reaches_no_other_plugin(name):
    batch = batch_of()
    for stratum in range(STRATA):
        model = plugged_of(name)
        loss_of(model, batch, (batch.stratum_B == stratum).nonzero()[:, 0]).backward()
        for key, parameter in model.named_parameters():
            owner = model.plugin_of(key)
            if owner is not None:
                reached = parameter.grad is not None and bool(parameter.grad.any())
                assert reached == (owner == stratum), key
        assert any(p.grad is not None and p.grad.any() for p in model.trunk.parameters())


def test_places_may_be_chosen():
    items, state = (plugged_of("sasrec", places=(place,)) for place in ("items", "state"))
    assert {name.split(".")[1] for name, _ in items.named_parameters() if items.plugin_of(name) is not None} == {"at_items"}
    batch = batch_of()
    assert torch.equal(items.adapt("state", torch.ones(5, 8), batch.stratum_B), torch.ones(5, 8))
    bare = trunk_of("sasrec").eval().encode(batch)
    assert torch.allclose(state.encode(batch), state.adapt("state", bare, batch.stratum_of_position()))


def test_a_place_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"`places`: SASRec has no place 'stat'.*'state'.*; it has items, state"):
        plugged_of("sasrec", places=("stat",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "release"}, "form must be one of identity, released; got 'release'.*'released'"),
        ({"shrink": 0}, "shrink must be at least 1; got 0"),
        ({"places": ("state", "state")}, "places must differ; got state, state"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        BottleneckConfig(**options)


def test_the_bit_travels_with_the_weights():
    awake, asleep = plugged_of("sasrec"), plugged_of("sasrec", awake=False)
    assert isinstance(awake, WithPlugins) and awake.awake and not asleep.awake
    other = plugged_of("sasrec", awake=False, stirred=False)
    other.load_state_dict(awake.state_dict())
    assert other.awake and torch.equal(other.scores(batch_of()), awake.scores(batch_of()))
    other.load_state_dict(asleep.state_dict())
    assert not other.awake
    assert copy.deepcopy(awake).awake
    copied = copy.deepcopy(asleep)
    copied.wake(0)
    assert copied.awake and not asleep.awake


def test_sleeping_plugins_have_no_gradient():
    model = plugged_of("sasrec", awake=False)
    model.encode(batch_of()).sum().backward()
    assert all(p.grad is None for name, p in model.named_parameters() if model.plugin_of(name) is not None)


@EVERY
def test_every_parameter_has_an_owner_or_is_the_trunks(name):
    model = plugged_of(name)
    for key, _ in model.named_parameters():
        owner = model.plugin_of(key)
        assert (owner is None) == key.startswith("trunk.")
        assert owner is None or f".{owner}." in key


def test_places_that_the_host_knows_go_to_where_the_entries_are():
    parts = [torch.zeros(2, 1, device="meta"), torch.zeros(1, 1, device="meta")]
    assert put_back(parts, torch.tensor([1, 2, 0])).device.type == "meta"
    assert put_back([torch.tensor([5.0]), torch.tensor([6.0])], torch.tensor([1, 0])).tolist() == [6.0, 5.0]
