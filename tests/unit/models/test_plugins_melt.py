"""MELT's user branch against its formulas: suffixes, curriculum, loss, and who is served through the map."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.models.backbones import BACKBONES, Encoder
from ltrec.models.plugins import Melt, MeltConfig, WithPlugins
from tests.support.sequences import histories, stir

STRATA = Strata(lower_bounds=(1, 3, 5), users=(5, 5, 5), events=(5, 15, 40), head_from=5)
LENGTHS, TIERS = [2, 7, 4, 1, 12, 6], [0, 2, 1, 2, 2, -1]


def melt_of(*, name="sasrec", awake=True, stirred=True, seed=3, dropout=0.0, **options):
    torch.manual_seed(0)
    trunk = stir(BACKBONES[name].make(num_items=30, max_len=12, width=8, dropout=dropout)).double()
    model = Melt(trunk, strata=STRATA, seed=seed, max_len=12, **{"weight": 0.5, "ramp_steps": 100, **options}).double()
    if stirred:
        torch.nn.init.normal_(model.map.weight, std=0.3)
    if awake:
        model.wake(0)
    return model


def batch_of(step=40):
    batch = histories(LENGTHS, 30, strata=TIERS)
    return replace(batch, user_key_B=torch.arange(6) * 7919 + 5, step=step)


def naive_losses(model, batch):
    """Row by row, by the book."""
    out = []
    suffix_B = model.suffix_lengths(batch.user_key_B, batch.lengths_B, batch.step)
    for row, length in enumerate(LENGTHS):
        value = torch.zeros((), dtype=torch.float64)
        if TIERS[row] >= 2 and length > 1:
            whole = batch.select(torch.tensor([row]))
            few = int(suffix_B[row])
            assert 1 <= few < min(model.threshold, length)
            suffix = replace(whole, items_T=whole.items_T[-few:], targets_T=whole.targets_T[-few:], offsets=torch.tensor([0, few]))
            gap = model.map.weight @ model.trunk.encode(suffix)[-1] - model.trunk.encode(whole)[-1].detach()
            place = min(max((length - 5 - 1) / (12 - 5 - 1), 0), 1)
            value = abs(math.sin(math.pi / 2 * (min(1, batch.step / 100) + place))) * gap.square().sum()
        out += [model.weight * value] * length
    return torch.stack(out)


@pytest.mark.parametrize("step", [0, 40, 100, 250])
def test_losses_are_the_formula(step):
    model, batch = melt_of(), batch_of(step)
    found = model.extra_losses(batch, model.encode(batch))
    assert torch.allclose(found, naive_losses(model, batch), rtol=1e-10, atol=1e-12)
    assert (found > 1e-9).any()


def test_gradients_are_the_formulas():
    """The target is a constant: only the suffix and the map learn."""
    model, batch = melt_of(), batch_of()
    parameters = list(model.parameters())
    found = torch.autograd.grad(model.extra_losses(batch, model.encode(batch)).sum(), parameters, allow_unused=True)
    wanted = torch.autograd.grad(naive_losses(model, batch).sum(), parameters, allow_unused=True)
    assert found[-1].any()
    for mine, theirs in zip(found, wanted, strict=True):
        assert (mine is None or not mine.any()) if theirs is None else torch.allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_a_row_counts_the_same_wherever_it_is_computed():
    model, batch = melt_of(), batch_of()
    whole = model.extra_losses(batch, model.encode(batch))
    order = torch.tensor([4, 0, 1])
    part = batch.select(order)
    rows = [whole[batch.row_of_position() == row] for row in order.tolist()]
    assert torch.allclose(model.extra_losses(part, model.encode(part)), torch.cat(rows), rtol=1e-12)


def test_suffixes_are_uniform_and_follow_seed_step_and_user():
    model = melt_of()
    key, length = torch.arange(4000) * 104729, torch.full((4000,), 9)
    drawn = model.suffix_lengths(key, length, 7)
    counts = torch.bincount(drawn, minlength=6)
    assert counts[0] == 0 and counts[5:].sum() == 0, "1 to threshold - 1"
    assert (counts[1:5] - 1000).abs().max() < 120
    assert torch.equal(drawn, model.suffix_lengths(key, length, 7))
    assert not torch.equal(drawn, model.suffix_lengths(key, length, 8))
    assert not torch.equal(drawn, melt_of(seed=4).suffix_lengths(key, length, 7))
    assert set(model.suffix_lengths(key, torch.full((4000,), 3), 7).tolist()) == {1, 2}, "shorter than the row"


def test_the_curriculum_goes_from_long_rows_to_those_over_the_threshold():
    model, lengths = melt_of(), torch.tensor([6, 9, 12])
    assert model.curriculum(lengths, 0).tolist() == pytest.approx([0.0, math.sin(math.pi / 4), 1.0])
    assert model.curriculum(lengths, 100).tolist() == pytest.approx([1.0, math.cos(math.pi / 4), 0.0], abs=1e-15)
    assert torch.equal(model.curriculum(lengths, 9999), model.curriculum(lengths, 100))
    assert torch.equal(model.curriculum(torch.tensor([2]), 30), model.curriculum(torch.tensor([6]), 30)), "clipped"


def test_the_curriculum_begins_when_the_map_wakes():
    """A switch after a plateau comes late: counted from the run's first step, the curriculum would be over by then."""
    early, late, lengths = melt_of(), melt_of(awake=False), torch.tensor([6, 9, 12])
    late.wake(5000)
    assert torch.equal(late.curriculum(lengths, 5030), early.curriculum(lengths, 30))


def test_only_the_tail_is_served_through_the_map():
    model, batch = melt_of().eval(), batch_of()
    bare, served = model.trunk.final_states(batch), model.final_states(batch)
    for row, stratum in enumerate(TIERS):
        wanted = bare[row] + model.map.weight @ bare[row] if stratum in (0, 1) else bare[row]
        assert torch.allclose(served[row], wanted, rtol=1e-12)
    assert torch.allclose(model.scores(batch)[:, 1:], (served @ model.item_table.T)[:, 1:])
    assert torch.equal(model.encode(batch), model.trunk.encode(batch)), "training is about the encoder's own states"


@pytest.mark.parametrize("name", ["sasrec", "gru4rec"])
def test_asleep_and_at_the_start_it_is_the_trunk(name):
    batch = batch_of()
    asleep, fresh = melt_of(name=name, awake=False).eval(), melt_of(name=name, stirred=False).eval()
    for model in (asleep, fresh):
        assert torch.equal(model.scores(batch), model.trunk.scores(batch))
    extra_T = asleep.extra_losses(batch, asleep.encode(batch).detach())
    assert not extra_T.any()
    extra_T.sum().backward()
    assert not asleep.map.weight.grad.any(), "it takes part with nothing"


def test_a_batch_without_head_rows_adds_nothing_but_takes_part():
    model, batch = melt_of(), batch_of().select(torch.tensor([0, 2, 3]))
    extra_T = model.extra_losses(batch, model.encode(batch).detach())
    assert not extra_T.any(), "tail rows, and a head row of one event"
    extra_T.sum().backward()
    assert not model.map.weight.grad.any()


def test_it_is_an_encoder_whose_map_is_nobodys_own():
    model = melt_of()
    assert isinstance(model, WithPlugins) and isinstance(model, Encoder)
    assert {model.plugin_of(name) for name, _ in model.named_parameters()} == {None}
    other = melt_of(awake=False, stirred=False)
    other.load_state_dict(model.state_dict())
    assert other.awake and torch.equal(other.scores(batch_of()), model.scores(batch_of()))


def test_what_it_cannot_do_is_refused():
    din = BACKBONES["din"].make(num_items=30, max_len=12, width=8)
    options = {"seed": 0, "max_len": 12, "weight": 0.5, "ramp_steps": 10}
    with pytest.raises(UserError, match=r"MELT maps states, and DIN has none"):
        Melt(din, strata=STRATA, **options)
    with pytest.raises(UserError, match=r"there is one stratum only"):
        Melt(melt_of().trunk, strata=STRATA.merged(1)[0], **options)
    with pytest.raises(ValueError, match="weight must be above 0; got 0"):
        MeltConfig(weight=0.0)
    with pytest.raises(ValueError, match="ramp_steps must be at least 1; got 0"):
        MeltConfig(ramp_steps=0)
