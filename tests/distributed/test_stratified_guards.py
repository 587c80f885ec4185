"""What two ranks must do alike and no more often than needed: stop, skip, scale, and talk to each other."""

from collections import Counter
from dataclasses import replace
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy

from tests.support.closeness import assert_close, assert_same
from tests.support.lightning_toy import Case, Log, strategy_of, train
from tests.support.naive_training import naive_train
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.stratified_cases import NOT_EMPTY, WAYS

SINGLE = {name: replace(case, dtype=torch.float32, holes=NOT_EMPTY) for name, case in WAYS.items()}
LONG = {name: replace(case, holes=(), accumulate=1 if case.mode == "replay" else 3) for name, case in WAYS.items()}
CASES = {
    **{f"{name}-stop": replace(case, spoil=(2, 1, 1)) for name, case in WAYS.items()},
    **{f"{name}-scaler-nan": replace(case, spoil=(2, 1, 1), scale=2.0**12) for name, case in SINGLE.items()},
    **{f"{name}-scaler-none": case for name, case in SINGLE.items()},
    **{f"{name}-scaler-small": replace(case, scale=2.0**10) for name, case in SINGLE.items()},
    **{f"{name}-scaler-large": replace(case, scale=2.0**16) for name, case in SINGLE.items()},
    **{f"{name}-long": case for name, case in LONG.items()},
    "probed": Case(mode="weighted", accumulate=2, plugins=True, probe_every=2),
    "not probed": Case(mode="weighted", accumulate=2, plugins=True),
    "probed-per_stratum": Case(mode="per_stratum", accumulate=2, plugins=True, probe_every=2),
    "not probed-per_stratum": Case(mode="per_stratum", accumulate=2, plugins=True),
    "unused-per_stratum": Case(mode="per_stratum", unused=True),
}
RAW = ("barrier", "all_reduce", "broadcast", "all_gather", "all_gather_object", "broadcast_object_list", "reduce", "gather")


class Overhear(Callback):
    """Counts the process group's own functions, whoever calls them, from the first batch to the end of training."""

    def __init__(self):
        self.counts, self.after, self.patches = Counter(), [], []

    def on_train_batch_start(self, *_):
        for name in () if self.patches else RAW:
            self.patches.append(mock.patch.object(dist, name, self.counted(name, getattr(dist, name))))
            self.patches[-1].start()

    def counted(self, name, function):
        def call(*args, **kwargs):
            self.counts[name] += 1
            return function(*args, **kwargs)

        return call

    def on_train_batch_end(self, *_):
        self.after.append(dict(self.counts))

    def on_train_end(self, *_):
        while self.patches:
            self.patches.pop().stop()


class Buckets(Callback):
    """What DDP's own reducer sends: the bytes of its buckets, step by step."""

    def __init__(self):
        self.bytes = []

    def on_train_start(self, trainer, *_):
        trainer.strategy.model.register_comm_hook(None, self.hook)

    def hook(self, _, bucket):
        self.bytes.append(bucket.buffer().nbytes)
        work = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
        return work.then(lambda done: done.value()[0] / 2)


def run_all(rank):
    act_as_rank(rank, 2)
    found = {name: train(rank, 2, case) for name, case in CASES.items()}
    heard, buckets = {}, {}
    for name, case in LONG.items():
        ear = Overhear()
        train(rank, 2, case, hooks=[ear])
        heard[name] = ear.after
    for name, strategy in {"joint": DDPStrategy(), "weighted": strategy_of(LONG["backdoor-weighted"], 2)}.items():
        spy = Buckets()
        train(rank, 2, LONG["backdoor-weighted"], strategy, hooks=[spy])
        buckets[name] = spy.bytes
    unused = strategy_of(Case(mode="weighted"), 2, find_unused_parameters=True)
    found["unused-weighted"] = train(rank, 2, Case(mode="weighted", unused=True), unused)
    found["by name"] = train(rank, 2, Case(), "stratified_ddp")
    return found, heard, buckets


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return spawn(run_all, 2, tmp_path_factory.mktemp("guards") / "store", timeout=240)


def of(ranks, name):
    return [rank[0][name] for rank in ranks]


@pytest.mark.parametrize("name", WAYS)
def test_a_bad_number_on_one_rank_stops_both_in_one_line(ranks, name):
    first, second = of(ranks, f"{name}-stop")
    assert first.error == second.error and first.steps == second.steps == 2
    assert first.error.startswith("training diverged: a stratum's gradient is not a finite number after step 3")
    assert "\n" not in first.error
    assert_same(first.weights, second.weights)


@pytest.mark.parametrize("name", WAYS)
def test_a_bad_number_on_one_rank_halves_the_scale_of_both_once(ranks, name):
    each = of(ranks, f"{name}-scaler-nan")
    expected = naive_train(CASES[f"{name}-scaler-nan"]).weights
    for found in each:
        assert found.error is None and found.steps == 6 and found.scale == 2.0**11
        assert torch.equal(found.log.after[2], found.log.after[1])
        assert [report is None for report in found.log.reports] == [False, False, True, False, False, False]
        assert_close(found.weights, expected, 1e-5)
        assert_same(found.weights, each[0].weights)


@pytest.mark.parametrize("name", WAYS)
def test_the_scale_does_not_matter(ranks, name):
    none, small, large = (of(ranks, f"{name}-scaler-{size}")[0] for size in ("none", "small", "large"))
    assert (small.scale, large.scale) == (2.0**10, 2.0**16)
    assert_same(small.weights, none.weights)
    assert_same(large.weights, none.weights)


@pytest.mark.parametrize("name", WAYS)
def test_hooks_fire_once_per_micro_batch_and_per_step(ranks, name):
    case = LONG[name]
    window = [*["before_backward", "after_backward"] * case.accumulate, "before_step"]
    assert [found.log.events for found in of(ranks, f"{name}-long")] == [window * case.steps] * 2


@pytest.mark.parametrize("mode", ["", "-per_stratum"])
def test_a_probe_changes_nothing(ranks, mode):
    for probed, plain in zip(of(ranks, f"probed{mode}"), of(ranks, f"not probed{mode}"), strict=True):
        assert_same(probed.weights, plain.weights)
        assert [report.gram_KK is not None for report in probed.log.reports[1::2]] == [False, True] * 3


def test_a_parameter_that_nobody_uses_disturbs_nobody(ranks):
    """What becomes of it is another matter: per_stratum gives it a gradient of 0, and weight decay acts; weighted gives it none."""
    expected = naive_train(CASES["unused-per_stratum"]).weights
    for found in of(ranks, "unused-per_stratum"):
        assert_close(found.weights, expected, 1e-9)
    for found in of(ranks, "unused-weighted"):
        assert_close(found.weights | {"unused": expected["unused"]}, expected, 1e-9)


def test_the_registered_name_is_backdoor_adjustment_with_a_uniform_prior(ranks):
    alone = train(0, 1, Case(), "stratified")
    for found in of(ranks, "by name"):
        assert_close(found.weights, alone.weights, 1e-9)
        assert found.log.reports[0].weights_K.tolist() == pytest.approx([1 / 3] * 3)


def steps_of(totals: list[dict[str, int]]) -> list[dict[str, int]]:
    """Running totals -> what each micro-batch added."""
    before = [{}, *totals[:-1]]
    return [{key: now[key] - then.get(key, 0) for key in now} for then, now in zip(before, totals, strict=True)]


def calls(all_reduce=0, reduce_scatter=0, all_gather=0, broadcast=0):
    return Counter(all_reduce=all_reduce, reduce_scatter=reduce_scatter, all_gather=all_gather, broadcast=broadcast)


DESIGNED = {
    "backdoor-per_stratum": [calls(1, 3), calls(0, 3), calls(1, 3, 1)],
    "upgrad-per_stratum": [calls(1, 3), calls(0, 3), calls(1, 3, 1, 1)],
    "backdoor-weighted": [calls(1), calls(), calls(1)],
    "upgrad-replay": [calls(3, 3, 0, 1)],
}
"""Collectives of every micro-batch of a window. Counts come first; the Gram matrix, the weights or the losses last."""


@pytest.mark.parametrize("name", WAYS)
def test_the_number_of_collectives_is_as_designed(ranks, name):
    for found in of(ranks, f"{name}-long"):
        assert [+Counter(made) for made in steps_of(found.log.calls)] == [+made for made in DESIGNED[name]] * 6


@pytest.mark.parametrize("name", WAYS)
def test_nobody_else_talks_and_no_step_has_a_barrier(ranks, name):
    """But for Lightning's own question before every micro-batch, with any strategy: has rank 0 been told to stop? Eight bytes."""
    for _, heard, _ in ranks:
        made = [Counter(step) for step in steps_of(heard[name])]
        expected = [Counter({k: v for k, v in step.items() if k in ("all_reduce", "broadcast")}) for step in DESIGNED[name] * 6]
        first = LONG[name].accumulate  # in the first step ranks also compare what their loaders publish with the losses that came
        assert [+step for step in made[first:]] == [+step + Counter(broadcast=1) for step in expected[first:]]


def elements(log: Log) -> int:
    """Trainable parameters of the toy; three numbers more are frozen, four are unused."""
    return log.after[0].numel() - 3 - 4


@pytest.mark.parametrize("name", WAYS)
def test_bytes_per_step_keep_to_the_budget(ranks, name):
    """Ring formula at W = 2 in float64: DDP sends 8 n. per_stratum <= (A K + 1) / 2 times that + 16 K^2 + padding."""
    case, [found, _] = LONG[name], of(ranks, f"{name}-long")
    sent, plain = sum(found.log.sent[-1].values()) / case.steps, 8 * elements(found.log)
    small, padding = 64 * case.strata, 8 * (case.accumulate * case.strata + 1)
    if case.mode == "weighted":
        assert 0 < sent <= small
    else:
        rows = case.accumulate * case.strata + (case.mode == "per_stratum")
        assert rows / 2 * plain < sent <= rows / 2 * plain + 16 * case.strata**2 + padding + small


def test_in_weighted_mode_what_ddp_sends_is_its_own(ranks):
    for _, _, buckets in ranks:
        assert buckets["weighted"] == buckets["joint"] and len(buckets["joint"]) >= 6
