"""How often lines are written, from the length of an epoch."""

import pytest

from ltrec.training.steps import log_interval


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (14, 1), (20, 2), (499, 49), (500, 50), (10**6, 50)])
def test_an_epoch_has_ten_lines_or_one_every_fifty_steps(steps, every):
    assert log_interval(0, steps) == every


def test_who_says_how_often_is_heeded():
    assert log_interval(7, 14) == 7
