"""Time in buckets."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.models.inputs.times import BUCKETS, NO_TIME, Moment, TimeGap, gap_buckets, log_bucket


@pytest.mark.parametrize(("duration", "bucket"), [(-5, 0), (0, 0), (1, 1), (2, 3), (3, 4), (4, 5), (2**31, 63), (2**62, 63)])
def test_buckets(duration, bucket):
    assert log_bucket(torch.tensor([duration])).item() == bucket


@given(st.integers(1, 2**40), st.integers(1, 2**40))
def test_longer_is_never_an_earlier_bucket(a, b):
    first, second = log_bucket(torch.tensor(sorted((a, b)))).tolist()
    assert 0 < first <= second < BUCKETS
    assert max(a, b) < 2 * min(a, b) or second > first or second == BUCKETS - 1


def test_the_first_event_of_a_row_has_a_gap_of_its_own():
    time_T, first_T = torch.tensor([100, 101, 101, 5, 9]), torch.tensor([True, False, False, True, False])
    assert gap_buckets(time_T, first_T).tolist() == [BUCKETS, 1, 0, BUCKETS, 5]
    assert TimeGap(3)(time_T, first_T).shape == (5, 3)
    assert not gap_buckets(time_T[:0], first_T[:0]).numel()


def test_a_moment_is_its_hour_its_day_and_its_date():
    moment = Moment(4, mean=0.0, deviation=86400.0 * 365)
    week, day = 7 * 86400, 86400
    with torch.no_grad():
        moment.trend.out.weight.zero_()
        same = moment(torch.tensor([3 * 3600, 3 * 3600 + week, 3 * 3600 - 10 * week]))
        assert_close(same[0].expand(3, -1), same)
        assert not torch.equal(moment(torch.tensor([0])), moment(torch.tensor([day])))
        assert not moment(torch.tensor([NO_TIME])).any()
        moment.trend.out.weight.fill_(1.0)
        assert moment(torch.tensor([NO_TIME])).isfinite().all()
        assert math.dist(moment(torch.tensor([0]))[0], moment(torch.tensor([52 * week]))[0]) > 0
