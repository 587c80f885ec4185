"""Sampled softmax, in-batch softmax, gBCE and BCE against loops over one example at a time, and their limits."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from ltrec.objectives import OBJECTIVES, Draw, Objective
from ltrec.objectives.negatives import PopularityProposal, negatives_per_example, negatives_per_step

N, V, D = 40, 12, 4
DRAWS = {"position": negatives_per_example, "shared": negatives_per_step}


def problem(dtype=torch.float64):
    g = torch.Generator().manual_seed(5)
    states = torch.randn(N, D, generator=g, dtype=dtype).requires_grad_()
    table = torch.randn(V + 1, D, generator=g, dtype=dtype)
    table[0] = 0
    targets = torch.randint(1, V + 1, (N,), generator=g)
    count = torch.bincount(targets, minlength=V + 1) + 1
    count[0] = 0
    return states, targets, table.requires_grad_(), count, Draw(3, 4, torch.arange(N) * 977)


def build(name, count, gather=lambda ids: ids, **options):
    config = dataclasses.asdict(OBJECTIVES[name].config(**options))
    del config["name"]
    return OBJECTIVES[name].make(train_count=count, gather=gather, **config)


def gradients(loss, states, table):
    return torch.autograd.grad(loss.sum(), (states, table), retain_graph=True)


def naive_softmax(states, targets, table, rows_of_candidates, correction):
    """-log softmax of the target among itself and the candidates that are not the target."""
    losses = []
    for n, candidates in enumerate(rows_of_candidates):
        scores = [states[n] @ table[c] - correction(c) for c in candidates if c != targets[n]]
        own = states[n] @ table[targets[n]]
        losses.append(torch.logsumexp(torch.stack([own, *scores]), 0) - own)
    return torch.stack(losses)


def check_against(loss, expected, states, table):
    assert loss.shape == (N,)
    assert_close(loss, expected, rtol=1e-6, atol=1e-6)  # log q is kept in float32
    for a, b in zip(gradients(loss, states, table), gradients(expected, states, table), strict=True):
        assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scope", ["position", "shared"])
@pytest.mark.parametrize("proposal", ["uniform", "popularity"])
@pytest.mark.parametrize("logq", [True, False])
def test_sampled_softmax_equals_its_loop(scope, proposal, logq):
    states, targets, table, count, draw = problem()
    objective = build("sampled_softmax", count, negatives=9, scope=scope, proposal=proposal, alpha=0.5, logq=logq)
    negatives = DRAWS[scope](objective.proposal, draw, 9).expand(N, 9)
    assert (negatives == targets[:, None]).any()  # accidental hits occur

    def correction(item):
        q = 1 / V if proposal == "uniform" else (count[item] ** 0.5 / (count[1:] ** 0.5).sum()).double()
        return math.log(9 * q) if logq else 0.0

    expected = naive_softmax(states, targets, table, negatives.tolist(), correction)
    check_against(objective(states, targets, table, draw), expected, states, table)


@pytest.mark.parametrize("scope", ["position", "shared"])
@pytest.mark.parametrize("proposal", ["uniform", "popularity"])
def test_many_negatives_approach_full_cross_entropy(scope, proposal):
    """The estimate's error shrinks like 1 / sqrt(negatives); without the correction popularity draws have another limit."""
    states, targets, table, count, draw = problem()
    full = F.cross_entropy(states @ table[1:].T, targets - 1, reduction="none")
    expected = gradients(full, states, table)

    def error(negatives, logq=True):
        objective = build("sampled_softmax", count, negatives=negatives, scope=scope, proposal=proposal, logq=logq)
        loss = objective(states, targets, table, draw)
        apart = [(a - b).norm() / b.norm() for a, b in zip(gradients(loss, states, table), expected, strict=True)]
        return max(apart).item()

    assert error(20_000) < 0.03
    assert error(20_000) < error(200) / 3
    assert error(20_000, logq=False) > 0.05


def test_in_batch_softmax_equals_its_loop_over_all_ranks():
    states, targets, table, count, draw = problem()
    others = torch.tensor([3, 3, 7, 1])
    objective = build("in_batch", count, gather=lambda ids: torch.cat([ids, others]))
    candidates = [*targets.tolist(), 3, 3, 7, 1]
    q = count / count.sum()
    expected = naive_softmax(states, targets, table, [candidates] * N, lambda c: math.log(len(candidates) * q[c]))
    check_against(objective(states, targets, table, draw), expected, states, table)
    assert objective.coupled


def test_in_batch_softmax_approaches_full_cross_entropy():
    states, targets, table, count, draw = problem()
    drawn = negatives_per_step(PopularityProposal(count, 1.0), draw, 50_000)
    objective = build("in_batch", count, gather=lambda _: drawn)
    loss = objective(states, targets, table, draw)
    full = F.cross_entropy(states @ table[1:].T, targets - 1, reduction="none")
    assert_close(loss, full, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_equals_its_formula(calibration):
    states, targets, table, count, draw = problem()
    objective = build("gbce", count, negatives=5, calibration=calibration)
    negatives = negatives_per_example(objective.proposal, draw, 5)
    rate = 5 / (V - 1)
    beta = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    losses = []
    for n in range(N):
        total = beta * torch.log(torch.sigmoid(states[n] @ table[targets[n]]))
        for k in negatives[n].tolist():
            if k != targets[n]:
                total = total + torch.log(1 - torch.sigmoid(states[n] @ table[k]))
        losses.append(-total / 6)
    check_against(objective(states, targets, table, draw), torch.stack(losses), states, table)
    assert beta == pytest.approx({0.0: 1.0, 1.0: rate}.get(calibration, beta))


def test_bce_is_gbce_without_calibration():
    states, targets, table, count, draw = problem()
    bce, gbce = build("bce", count, negatives=3), build("gbce", count, negatives=3, calibration=0.0)
    assert_close(bce(states, targets, table, draw), gbce(states, targets, table, draw))
    with pytest.raises(ValueError, match=r"calibration must be at most 1; got 1\.5"):
        build("gbce", count, calibration=1.5)


@pytest.mark.parametrize("name", [n for n in OBJECTIVES if n != "in_batch"])
def test_uncoupled_losses_of_a_sub_batch_are_a_sub_batch_of_losses(name):
    states, targets, table, count, draw = problem()
    objective = build(name, count)
    assert isinstance(objective, Objective)
    assert not objective.coupled
    rows = torch.tensor([7, 1, 30])
    part = objective(states[rows], targets[rows], table, Draw(draw.seed, draw.step, draw.key_N[rows]))
    assert_close(part, objective(states, targets, table, draw)[rows])


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_loss_is_float32_under_autocast_and_spares_the_padding_row(name):
    states, targets, table, count, draw = problem(torch.float32)
    objective = build(name, count)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = objective(states.bfloat16(), targets, table, draw)
    assert low.dtype == torch.float32
    assert_close(low, objective(states.bfloat16().float(), targets, table, draw))
    _, grad_table = gradients(low, states, table)
    assert not grad_table[0].any()
    assert grad_table[1:].any()


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_no_example_is_no_error(name):
    states, targets, table, count, draw = problem()
    loss = build(name, count)(states[:0], targets[:0], table, Draw(0, 0, draw.key_N[:0]))
    assert loss.shape == (0,)


def test_unknown_scopes_are_refused():
    with pytest.raises(ValueError, match=r"scope must be one of position, shared; got 'share' \(did you mean 'shared'\?\)"):
        build("sampled_softmax", torch.ones(5), scope="share")
