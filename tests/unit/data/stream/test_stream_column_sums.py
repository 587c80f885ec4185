"""Expected sums of weights per step, where events have weights and not every event is a target: what the stream delivers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from ltrec.data.stream.order.expected import examples_K, expected_targets_K, mean_over_windows
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.rows import UserRows
from tests.support.columned import SCHEMA, TARGETS, make, with_columns
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import BASE, VARIANTS, epochs


@pytest.fixture(scope="module", params=["both", "targets", "weights"])
def passes(request, tmp_path_factory):
    """192 users: eight steps are one pass of each variant without quotas; and whether there are weights."""
    folder, weighs = tmp_path_factory.mktemp("passes"), request.param != "targets"
    users = with_columns(random_users([40, 72, 80]))
    split = {} if request.param == "weights" else {"targets": TARGETS}
    return (folder, write_dataset(folder, users, block_rows=3, schema=replace(SCHEMA, weight=weighs), split=split), users), weighs


@pytest.mark.parametrize("variant", ["resident", "lanes"])
@pytest.mark.parametrize("unit", ["target", "user"])
def test_equal_to_the_average_of_what_is_streamed(passes, variant, unit):
    (data, weighs), config = passes, replace(VARIANTS[variant], unit=unit)
    total = count = torch.zeros(3, dtype=torch.float64)
    for batch in epochs(make(data, config), 1):
        count = count + batch.step_counts_K
        total = total + (batch.step_counts_K if batch.step_weights_K is None else batch.step_weights_K)
    plan = Plan.of(data[1], 5, config)
    torch.testing.assert_close(expected_targets_K(*data[:2], plan), total / 8, rtol=1e-12, atol=0)
    torch.testing.assert_close(examples_K(*data[:2], plan), count, rtol=1e-12, atol=0)
    assert torch.equal(total, count) != (weighs and unit == "target")


@pytest.mark.parametrize("unit", ["target", "user"])
@pytest.mark.parametrize("weigh", [False, True])
def test_random_windows_are_averaged_over_all_their_places(unit, weigh):
    draw = np.random.default_rng(1)
    offsets = np.cumsum([0, 2, 5, 9, 3])
    target, weight = draw.random(19) < 0.4, (draw.integers(1, 9, 19) / 4).astype(np.float32)
    target[7:16] = [True, *[False] * 8]  # the first event of a user is nobody's target
    naive = []
    for low, high in pairwise(offsets):
        held = min(high - low, 5)
        sums = []
        for start in range(low, high - held + 1):
            hits = [n for n in range(start + 1, start + held) if target[n]]
            sums.append(bool(hits) if unit == "user" else sum(weight[n] if weigh else 1 for n in hits))
        naive.append(sum(sums) / len(sums))
    rows = UserRows(offsets, {"target": target, "weight": weight}, {})
    assert mean_over_windows(rows, 4, unit, weigh).tolist() == pytest.approx(naive, rel=1e-12)
    assert naive[2] == 0 < max(naive)


def test_random_windows_of_the_stream_come_to_it_on_average(passes):
    (data, _), config = passes, replace(BASE, window="random")
    total = torch.zeros(3, dtype=torch.float64)
    for batch in epochs(make(data, config), 60):
        total += batch.step_counts_K if batch.step_weights_K is None else batch.step_weights_K
    expected = expected_targets_K(*data[:2], Plan.of(data[1], 5, config))
    torch.testing.assert_close(total / 480, expected, rtol=0.02, atol=0)
