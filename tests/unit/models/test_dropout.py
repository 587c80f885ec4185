"""Cheap dropout: the right share, the right expectation, reproducible, and the same mask in both directions."""

import pytest
import torch
from torch.testing import assert_close

from ltrec.models.by_segment import BySegment
from ltrec.models.dropout import Dropout
from ltrec.models.segments import SegmentDraws, Segments


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_share_and_expectation(share):
    torch.manual_seed(0)
    out = Dropout(share)(torch.ones(501, 777))
    rounded = round(share * 256) / 256
    assert (out == 0).float().mean().item() == pytest.approx(rounded, abs=0.004)  # 5 sigma
    assert out.mean().item() == pytest.approx(1, abs=0.025)
    assert_close(out.max().item(), 1 / (1 - rounded))


def test_every_byte_of_a_draw_drops_alike_and_on_its_own():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(100_000, 8)) != 0).double()
    assert (kept.mean(0) - 0.5).abs().max() < 0.01
    assert torch.corrcoef(kept.T).fill_diagonal_(0).abs().max() < 0.02


def test_the_gradient_has_the_mask_of_the_values():
    values = torch.rand(13, 7).add_(1).requires_grad_()
    out = Dropout(0.4)(values)
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert_close(gradient * values, out)


def test_the_seed_decides():
    drop, values = Dropout(0.3), torch.ones(50, 3)
    torch.manual_seed(4)
    first = drop(values)
    second = drop(values)
    torch.manual_seed(4)
    assert torch.equal(drop(values), first)
    assert not torch.equal(second, first)


def test_off_outside_training_and_at_share_zero():
    values = torch.ones(3)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_sixteen_bit_values_keep_their_type():
    assert Dropout(0.5)(torch.ones(9, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("width", [1, 3, 8, 20])
def test_a_run_draws_what_it_would_draw_alone(width):
    lengths, values = (5, 0, 3, 8), torch.ones(16, width)
    generators = [torch.Generator().manual_seed(7 + run) for run in range(4)]
    segments = Segments([0, 5, 5, 8, 16], torch.zeros(16, dtype=torch.int64), {}, SegmentDraws(lengths, generators))
    with BySegment(segments):
        out = torch.cat([Dropout(0.4)(values), Dropout(0.4)(values)], dim=1)
    alone = []
    for run, rows in enumerate(lengths):
        torch.manual_seed(7 + run)
        alone.append(torch.cat([Dropout(0.4)(torch.ones(rows, width)) for _ in range(2)], dim=1))
    assert torch.equal(out, torch.cat(alone))
    assert 0 < (out == 0).sum() < out.numel()
