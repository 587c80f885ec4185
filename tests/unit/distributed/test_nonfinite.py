"""Zero for what is finite and NaN for what is not: what a sum over ranks needs to show it everywhere."""

import torch

from ltrec.distributed.nonfinite import nan_unless_finite


def test_finite_numbers_change_no_sum_and_others_change_every_one():
    values = torch.tensor([0.0, -3.5, 1e300, torch.inf, -torch.inf, torch.nan], dtype=torch.float64)
    found = nan_unless_finite(values)
    assert (found[:3] == 0).all() and found[3:].isnan().all()
    assert (7 + found)[:3].tolist() == [7, 7, 7] and (7 + found).sum().isnan()
