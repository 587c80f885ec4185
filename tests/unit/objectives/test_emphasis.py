"""Emphases against their formulas: focal term by term, CVaR by sorting, over any number of ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.objectives.emphasis import EMPHASES
from ltrec.objectives.emphasis.config import CVaRConfig, FocalConfig
from ltrec.objectives.emphasis.cvar import CVaR
from ltrec.objectives.emphasis.focal import Focal
from ltrec.objectives.emphasis.plain import Plain


def alone(values: torch.Tensor) -> torch.Tensor:
    return values


def test_the_tables_agree() -> None:
    assert list(EMPHASES) == ["none", "focal", "cvar"]
    assert EMPHASES.where("needs_cross_entropy") == ("focal",)
    assert [EMPHASES[name].make(gather=alone).coupled for name in ("none", "focal", "cvar")] == [False, False, True]
    loss = torch.rand(5)
    assert Plain(gather=alone)(loss) is loss


# -- focal ----------------------------------------------------------------------------------------------------------------------


def losses_of(probabilities: list[float]) -> torch.Tensor:
    return -torch.tensor(probabilities, dtype=torch.float64).log()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_is_the_formula(gamma: float) -> None:
    probabilities = [0.999999, 0.9, 0.5, 0.1, 1e-6]
    expected = [-((1 - p) ** gamma) * math.log(p) for p in probabilities]
    found = Focal(gather=alone, gamma=gamma)(losses_of(probabilities))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_has_the_gradient_of_its_formula(gamma: float) -> None:
    losses = losses_of([0.99, 0.9, 0.5, 0.1, 1e-6]).requires_grad_()
    assert torch.autograd.gradcheck(Focal(gather=alone, gamma=gamma), losses)


def test_without_gamma_it_is_the_cross_entropy() -> None:
    losses = torch.tensor([0.0, 1e-9, 0.3, 12.0], requires_grad=True)
    found = Focal(gather=alone, gamma=0.0)(losses)
    assert torch.equal(found, losses)
    assert torch.equal(torch.autograd.grad(found.sum(), losses)[0], torch.ones(4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.01, 0.5, 0.99, 2.0])
def test_a_target_that_is_certain_gives_finite_gradients(gamma: float, dtype: torch.dtype) -> None:
    """(1 - p)^(gamma - 1) explodes at p = 1 while the loss beside it vanishes; a rounded loss may even be slightly negative."""
    values = [0.0, -1e-7, 1e-45, 1e-38, 1e-30, 1e-12, 1e-6]
    losses = torch.tensor(values, dtype=dtype, requires_grad=True)
    found = Focal(gather=alone, gamma=gamma)(losses)
    [slope] = torch.autograd.grad(found.sum(), losses)
    assert found.isfinite().all() and slope.isfinite().all()
    assert found[0] == 0
    expected = (1 + gamma) * 1e-6**gamma  # d/dl of l^(1 + gamma), what it is for small l
    assert slope[-1].item() == pytest.approx(expected, rel=1e-3)
    assert (slope[3:].diff() >= 0).all(), "the more certain, the less it counts"


def test_focal_refuses_a_negative_exponent() -> None:
    with pytest.raises(ValueError, match="gamma must be at least 0; got -1"):
        FocalConfig(gamma=-1)


# -- CVaR -----------------------------------------------------------------------------------------------------------------------


def cvar_by_sorting(losses: list[float], alpha: float) -> float:
    """The mean of the worst alpha N losses; of the last one only the share that is still wanted."""
    left, total = alpha * len(losses), 0.0
    for loss in sorted(losses, reverse=True):
        share = min(1.0, left)
        total, left = total + share * loss, left - share
        if left <= 0:
            break
    return total / (alpha * len(losses))


def cvar_by_minimising(losses: list[float], alpha: float) -> float:
    """The definition: min over tau of tau + E[(l - tau)+] / alpha. Convex and piecewise linear, so a loss is a minimiser."""
    values = np.array(losses)
    return min(tau + np.maximum(values - tau, 0).mean() / alpha for tau in losses)


def on_ranks(parts: list[torch.Tensor], alpha: float) -> list[torch.Tensor]:
    """What each rank's emphasis returns when all see each other's losses."""
    everything = torch.cat([part.detach() for part in parts])
    return [CVaR(gather=lambda _: everything, alpha=alpha)(part) for part in parts]


LOSSES = st.lists(st.one_of(st.floats(0, 20), st.sampled_from([0.0, 1.0, 1.0, 2.0])), min_size=1, max_size=30)


@settings(max_examples=150)
@given(LOSSES, st.one_of(st.floats(0.001, 1), st.sampled_from([0.1, 0.5, 1.0])), st.integers(1, 3))
def test_cvar_is_the_mean_of_the_worst_for_any_number_of_ranks(values: list[float], alpha: float, ranks: int) -> None:
    losses = torch.tensor(values, dtype=torch.float64)
    whole = CVaR(gather=alone, alpha=alpha)(losses)
    assert whole.mean().item() == pytest.approx(cvar_by_sorting(values, alpha), rel=1e-9, abs=1e-12)
    assert whole.mean().item() == pytest.approx(cvar_by_minimising(values, alpha), rel=1e-9, abs=1e-12)
    parts = on_ranks(list(losses.tensor_split(ranks)), alpha)
    assert torch.equal(torch.cat(parts), whole), "the same whatever rank an example is on"


@settings(max_examples=60)
@given(LOSSES, st.floats(0.01, 1))
def test_weights_sum_to_all_examples_and_ties_weigh_alike(values: list[float], alpha: float) -> None:
    losses = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    [weights] = torch.autograd.grad(CVaR(gather=alone, alpha=alpha)(losses).sum(), losses)
    assert weights.sum().item() == pytest.approx(len(values), rel=1e-9)
    assert (weights >= 0).all() and (weights <= (1 + 1e-12) / alpha).all()
    by_loss: dict[float, set[float]] = {}
    for loss, weight in zip(values, weights.tolist(), strict=True):
        by_loss.setdefault(loss, set()).add(weight)
    assert all(len(alike) == 1 for alike in by_loss.values())


def test_the_gradient_is_the_definitions() -> None:
    """Without ties CVaR is differentiable; central differences of the sorted reference."""
    values, alpha, step = torch.rand(11, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), 0.37, 1e-6
    losses = values.clone().requires_grad_()
    [found] = torch.autograd.grad(CVaR(gather=alone, alpha=alpha)(losses).mean(), losses)
    for n in range(11):
        up, down = values.clone(), values.clone()
        up[n] += step
        down[n] -= step
        slope = (cvar_by_sorting(up.tolist(), alpha) - cvar_by_sorting(down.tolist(), alpha)) / (2 * step)
        assert found[n].item() == pytest.approx(slope, abs=1e-8)


def test_all_of_them_is_the_plain_mean_bit_for_bit() -> None:
    losses = torch.tensor([3.0, 1.0, 1.0, 0.25])
    assert torch.equal(CVaR(gather=alone, alpha=1.0)(losses), losses)


def test_in_single_precision_the_share_is_not_rounded_away() -> None:
    losses = torch.linspace(0, 1, 4001, dtype=torch.float32)
    found = CVaR(gather=alone, alpha=0.3)(losses).double().mean().item()
    assert found == pytest.approx(cvar_by_sorting(losses.double().tolist(), 0.3), rel=1e-6)


def test_nothing_to_weigh_and_no_number() -> None:
    empty = torch.zeros(0, requires_grad=True)
    assert CVaR(gather=alone)(empty).numel() == 0
    assert not CVaR(gather=alone)(torch.tensor([1.0, math.nan, 2.0])).sum().isfinite(), "a loss that is not a number stays visible"
    on_idle_rank = CVaR(gather=lambda _: torch.tensor([1.0, 2.0]))(empty)
    assert on_idle_rank.numel() == 0


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.5])
def test_cvar_refuses_what_is_no_share(alpha: float) -> None:
    with pytest.raises(ValueError, match=rf"alpha must be (above 0|at most 1); got {alpha}"):
        CVaRConfig(alpha=alpha)
