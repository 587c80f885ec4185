"""Positions without a target have no loss, in every objective; weights multiply losses after whatever else is done to them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones import DIN, GRU4Rec, SASRec
from ltrec.models.plugins.copies import Copies
from ltrec.objectives import OBJECTIVES
from ltrec.objectives.adversary import Adversary
from ltrec.objectives.emphasis.cvar import CVaR
from ltrec.objectives.emphasis.focal import Focal
from ltrec.objectives.emphasis.plain import Plain
from ltrec.training.examples import examples_of
from ltrec.training.position_losses import PositionLosses
from tests.support.sequences import histories, stir

ITEMS, STRATA = 20, [0, 1, 2, 0, 1]
PLAIN = Plain(gather=lambda values: values)


def copies(num_items, max_len):
    made = Copies(SASRec(num_items, max_len, width=4, blocks=1, heads=1, dropout=0.0), num_strata=3)
    made.wake(0)
    return made


BACKBONES = {
    "sasrec": lambda: SASRec(ITEMS, 8, width=4, blocks=1, heads=1, dropout=0.0),
    "gru4rec": lambda: GRU4Rec(ITEMS, 8, width=4, dropout=0.0),
    "din": lambda: DIN(ITEMS, 8, width=4, layers=(4,)),
    "copies": lambda: copies(ITEMS, 8),
}


def objective(name):
    row = OBJECTIVES[name]
    counts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.arange(1, ITEMS + 1)])
    return row.make(train_count=counts, gather=lambda values: values)


def batch_with(gaps=True, weights=False, lengths=(3, 5, 1, 4, 2)) -> SequenceBatch:
    """Five rows; with gaps, the third has no target at all."""
    batch = histories(lengths, ITEMS, strata=STRATA, seed=3)
    draw = torch.Generator().manual_seed(5)
    targets = torch.randint(1, ITEMS + 1, batch.items_T.shape, generator=draw)
    kept = torch.rand(targets.shape, generator=draw) < 0.6
    kept[8] = False
    weight_T = torch.randint(1, 9, targets.shape, generator=draw) / 4 if weights else None
    return replace(batch, targets_T=targets * kept if gaps else targets, has_gaps=gaps, weight_T=weight_T, step=3)


PAIRS = [
    (backbone, name)
    for backbone in BACKBONES
    for name in OBJECTIVES
    if not (OBJECTIVES[name].couples_rows or (backbone == "din" and OBJECTIVES[name].needs_states))
]


@pytest.mark.parametrize(("backbone", "name"), PAIRS)
def test_losses_of_targets_are_what_they_are_without_gaps(backbone, name):
    model, loss = stir(BACKBONES[backbone]().double()), PositionLosses(objective(name), PLAIN)
    gapped = batch_with()
    kept = gapped.targets_T > 0
    assert 0 < kept.sum() < len(kept)
    whole_T, states_TD = loss(model, batch_with(gaps=False), seed=1)
    found_N, same_TD = loss(model, gapped, seed=1)
    torch.testing.assert_close(found_N, whole_T[kept], rtol=1e-10, atol=1e-12)
    assert states_TD is None or torch.equal(states_TD, same_TD)


@pytest.mark.parametrize("backbone", ["sasrec", "copies"])
def test_in_batch_negatives_are_the_targets_alone(backbone):
    model, gapped = stir(BACKBONES[backbone]().double()), batch_with()
    made = OBJECTIVES["in_batch"].make(train_count=torch.ones(ITEMS + 1).long(), gather=lambda v: v, logq=False)
    if backbone == "copies":
        model = model.trunk
    found_N, states_TD = PositionLosses(made, PLAIN)(model, gapped, seed=1)
    kept = (gapped.targets_T > 0).nonzero()[:, 0].tolist()
    targets, scores = gapped.targets_T.tolist(), states_TD @ model.item_table.T
    for n, loss in zip(kept, found_N, strict=True):
        others = [scores[n, targets[m]] for m in kept if targets[m] != targets[n]]
        naive = torch.logsumexp(torch.stack([scores[n, targets[n]], *others]), 0) - scores[n, targets[n]]
        torch.testing.assert_close(loss, naive, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("backbone", "name"), [("sasrec", "softmax"), ("din", "bce"), ("copies", "gbce"), ("sasrec", "in_batch")])
def test_a_batch_without_any_target_has_no_loss_and_no_gradient(backbone, name):
    model, batch = stir(BACKBONES[backbone]().double()), batch_with()
    batch = replace(batch, targets_T=torch.zeros_like(batch.targets_T))
    assert batch.is_empty and not batch_with().is_empty
    loss_N, _ = PositionLosses(objective(name), PLAIN)(model, batch, seed=1)
    assert loss_N.numel() == 0
    loss_N.sum().backward()
    assert not any(p.grad is not None and p.grad.any() for p in model.parameters())


def naive_examples(batch, losses, unit):
    """[(stratum, weighted loss, weight)] by loops; `losses` is the list of those of the targets."""
    bounds, left = batch.offsets.tolist(), iter(losses)
    weights = [1.0] * len(batch.items_T) if batch.weight_T is None else batch.weight_T.tolist()
    found = []
    for b, stratum in enumerate(batch.stratum_B.tolist()):
        own = [(next(left), weights[n]) for n in range(bounds[b], bounds[b + 1]) if batch.targets_T[n]]
        if unit == "target":
            found += [(stratum, loss * weight, weight) for loss, weight in own]
        elif own:
            found.append((stratum, sum(loss * weight for loss, weight in own) / sum(weight for _, weight in own), 1.0))
    return found


@pytest.mark.parametrize("unit", ["target", "user"])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_examples_equal_the_naive_ones(unit, weights, gaps):
    batch = batch_with(gaps, weights)
    losses = torch.arange(1, int((batch.targets_T > 0).sum()) + 1, dtype=torch.float64) ** 2
    example = examples_of(batch, losses, unit)
    stratum, loss, weight = zip(*naive_examples(batch, losses.tolist(), unit), strict=True)
    assert example.stratum_N.tolist() == list(stratum)
    assert example.loss_N.tolist() == pytest.approx(loss, rel=1e-12)
    if unit == "target" and weights:
        assert example.weight_N.tolist() == list(weight)
    else:
        assert example.weight_N is None
    assert (len(loss) == 4) == (unit == "user" and gaps) or unit == "target"


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("equal", [False, True])
def test_cvar_takes_an_example_of_weight_m_for_m_examples(alpha, equal):
    draw = torch.Generator().manual_seed(2)
    loss_N = torch.randint(1, 5, (12,), generator=draw).double() if equal else torch.rand(12, generator=draw).double()
    mass_N = torch.randint(1, 5, (12,), generator=draw)
    cvar = CVaR(gather=lambda values: values, alpha=alpha)
    repeated = loss_N.repeat_interleave(mass_N)
    found = (loss_N * cvar.weights(loss_N, mass_N) * mass_N).sum() / mass_N.sum()
    assert found.item() == pytest.approx(cvar(repeated).mean().item(), rel=1e-12)
    assert torch.equal(cvar.weights(loss_N), cvar.weights(loss_N, torch.ones(12)))


@pytest.mark.parametrize("unit", ["target", "user"])
@pytest.mark.parametrize("emphasis", [Focal(gather=lambda v: v), CVaR(gather=lambda v: v, alpha=0.4)])
def test_an_emphasis_sees_examples_only_and_weights_come_after_it(unit, emphasis):
    model, batch = stir(BACKBONES["sasrec"]().double()), batch_with(weights=True)
    plain_N, _ = PositionLosses(objective("softmax"), PLAIN)(model, batch, seed=1, unit=unit)
    found_N, _ = PositionLosses(objective("softmax"), emphasis)(model, batch, seed=1, unit=unit)
    weight_N = batch.weight_T[batch.targets_T > 0]
    if isinstance(emphasis, Focal):
        expected = emphasis(plain_N)
    elif unit == "target":
        expected = plain_N * emphasis.weights(plain_N, weight_N)
    else:
        means, of_user = examples_of(batch, plain_N, "user").loss_N, defaultdict(float)
        rows = batch.of_targets(batch.row_of_position()).tolist()
        of_user |= dict(zip(dict.fromkeys(rows), emphasis.weights(means).tolist(), strict=True))
        expected = plain_N * torch.tensor([of_user[row] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(found_N, expected, rtol=1e-12, atol=0)


def test_the_adversary_plays_for_targets_alone():
    torch.manual_seed(0)
    adversary = Adversary(4, (1, 2), hidden=8, weight=0.3).double()
    states_TD = torch.randn(15, 4, dtype=torch.float64)
    gapped = batch_with()
    whole_T = adversary(batch_with(gaps=False), states_TD)
    assert adversary.take()[:, 0].sum() == 15
    assert torch.equal(adversary(gapped, states_TD), whole_T[gapped.targets_T > 0])
    assert adversary.take()[:, 0].sum() == (gapped.targets_T > 0).sum()
