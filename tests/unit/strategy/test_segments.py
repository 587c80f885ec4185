"""Gradients by segments: one forward and one backward pass come to what one pass per stratum comes to."""

from dataclasses import replace
from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.testing import assert_close

from benchmarks.harness.device_checks import distance
from benchmarks.harness.operations import Operations
from benchmarks.harness.steps import WAYS, Size, Way, batches_of, fit, strategy_of, weights_of
from ltrec.core.errors import UserError
from ltrec.models.backbones import BACKBONES, din
from ltrec.models.by_segment import BySegment
from ltrec.models.segments import SegmentDraws, Segments
from ltrec.strategy import StratifiedFSDP2Strategy, StratifiedSingleDeviceStrategy
from ltrec.strategy.launches import advice, launches_cost
from ltrec.strategy.module import segments_obstacle
from ltrec.strategy.options import choose_source
from tests.support.segmented import OBJECTIVES, SMALL, STRATA, compare, stage_of
from tests.support.threaded import threaded_or_skip
from tests.support.windows import crowded


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_are_those_of_the_strata_alone(objective):
    compare(stage_of(objective), crowded(1, STRATA, 1, seed=1))


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=threaded_or_skip)])
def test_with_plugins_micro_batches_and_ranks(world):
    compare(stage_of(way="plugins"), crowded(world, STRATA, 2, seed=2))


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=threaded_or_skip)])
def test_strata_that_are_missing_and_rows_of_none(world):
    window = crowded(world, STRATA, 2, seed=3).without(lambda row: row.stratum == 1 or (row.rank == 0 and row.micro == 1))
    compare(stage_of(), window.relabelled([0, 1, -1]))


@pytest.mark.parametrize("way", ["per_stratum", "plugins"])
def test_dropout_draws_what_each_stratum_would_draw_alone(way):
    window = crowded(1, STRATA, 2, seed=6).without(lambda row: row.stratum == 1 and row.micro == 0)
    compare(stage_of(way=way, dropout=0.3, width=6), window)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("way", ["per_stratum", "plugins"])
def test_din_whose_values_may_be_computed_again_for_the_backward_pass(way, recompute, monkeypatch):
    if recompute:
        monkeypatch.setattr(din, "KEEP_BYTES", 0)
    stage = stage_of("sampled_softmax", way, backbone="din", dropout=0.3, width=6)
    compare(stage, crowded(1, STRATA, 2, seed=7))


@pytest.mark.parametrize("way", ["per_stratum", "plugins"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("objective", ["softmax", "sampled_softmax shared"])
def test_a_recurrent_layer(way, dropout, objective):
    window = crowded(1, STRATA, 2, seed=8).without(lambda row: row.stratum == 1 and row.micro == 0)
    stage = stage_of(objective, way, backbone="gru4rec", dropout=dropout, more={"hidden": 5, "layers": 2})
    compare(stage, window)


def test_float32_agrees_to_rounding():
    compare(stage_of(dtype=torch.float32), crowded(1, STRATA, 1, seed=4), 2e-5)


@pytest.mark.parametrize("way", ["per_stratum", "plugins"])
def test_bf16_agrees_to_its_rounding(way):
    size = replace(SMALL, rows=24, width=8)
    split, segments = (
        weights_of(fit(size, WAYS[name], batches_of(size, 2), [], precision="bf16-mixed")) for name in (way, f"{way}, segments")
    )
    assert 0 < distance(segments, split) < 0.02


def test_events_without_a_target_are_split():
    compare(stage_of(), crowded(1, STRATA, 1, seed=5).weighed(5))


# -- layers -----------------------------------------------------------------------------------------------------------------------


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.norm = nn.Embedding(5, 3, padding_idx=0), nn.LayerNorm(3)
        self.into, self.out = nn.Linear(3, 4), nn.Linear(4, 2, bias=False)

    def forward(self, ids):
        return self.out(torch.tanh(self.into(self.norm(self.table(ids))))).square().flatten(1).sum(1)


@pytest.mark.parametrize(
    "draws", [None, SegmentDraws([1, 0, 1], [torch.Generator() for _ in range(3)])], ids=["at once", "one by one"]
)
@pytest.mark.parametrize("shape", [(7,), (7, 2)])
def test_every_layer_alone(shape, draws):
    torch.manual_seed(0)
    net, borders = Layers().double(), [0, 3, 3, 7]
    ids = torch.randint(0, 5, shape)
    sink = {id(p): torch.zeros(3, *p.shape, dtype=p.dtype) for p in net.parameters()}
    stratum_T = torch.tensor([0, 0, 0, 2, 2, 2, 2])
    if len(shape) == 2:
        sink = {key: value for key, value in sink.items() if key not in map(id, net.norm.parameters())}
    with BySegment(Segments(borders, stratum_T, sink, draws)):
        loss = net(ids).sum()
    loss.backward()
    for number, (start, stop) in enumerate(pairwise(borders)):
        alone = [torch.zeros_like(p) for p in net.parameters()]
        if stop > start:
            alone = torch.autograd.grad(net(ids[start:stop]).sum(), list(net.parameters()))
        for parameter, expected in zip(net.parameters(), alone, strict=True):
            if id(parameter) in sink:
                assert_close(sink[id(parameter)][number], expected)
                assert parameter.grad is None


def test_where_a_library_has_replaced_linear(monkeypatch):
    """As ZeRO-3 does, by one that transposes the weight itself."""
    replaced = lambda values, weight, bias=None: torch.addmm(bias, values, weight.t())  # noqa: E731
    monkeypatch.setattr(nn.functional, "linear", replaced)
    compare(stage_of(), crowded(1, STRATA, 1, seed=1))
    assert nn.functional.linear is replaced


@pytest.mark.parametrize("use", [lambda w, x: x @ w, lambda w, x: (w * 2).sum(), lambda w, x: nn.functional.linear(x[:1], w)])
def test_any_other_use_of_a_parameter_is_refused(use):
    weight = nn.Parameter(torch.ones(2, 2))
    segments = Segments([0, 3], torch.zeros(3, dtype=torch.int64), {id(weight): torch.zeros(1, 2, 2)})
    with BySegment(segments), pytest.raises(UserError, match=r"segments cannot compute .*; use source split"):
        use(weight, torch.ones(3, 2))


# -- the choice -------------------------------------------------------------------------------------------------------------------


def test_the_choice():
    assert choose_source("auto", coupled=False, obstacle=None) == "segments"
    assert choose_source("auto", coupled=False, obstacle="a layer") == "split"
    assert choose_source("auto", coupled=False, obstacle=None, pays=False) == "split"
    assert choose_source("segments", coupled=False, obstacle=None, pays=False) == "segments"
    assert choose_source("auto", coupled=False, obstacle=None, mode="weighted") == "split"
    assert choose_source("auto", coupled=True, obstacle=None) == "retained"
    assert choose_source("segments", coupled=False, obstacle=None) == "segments"
    for refused in ({"obstacle": "a layer"}, {"obstacle": None, "coupled": True}, {"obstacle": None, "mode": "weighted"}):
        with pytest.raises(UserError, match="source segments is not possible"):
            choose_source("segments", **{"coupled": False, **refused})


def test_who_can():
    assert segments_obstacle(stage_of()) is None
    assert segments_obstacle(stage_of(way="plugins")) is None
    assert "does not say" in segments_obstacle(nn.Linear(1, 1))
    assert all(segments_obstacle(BACKBONES[name].make(5, 4, width=4)) is None for name in ("sasrec", "gru4rec", "din"))


class Counter(pl.Callback):
    def __init__(self):
        self.operations = Operations()

    def on_train_batch_start(self, trainer, module, batch, index):
        if index:
            self.operations.__enter__()

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if index:
            self.operations.__exit__(None, None, None)


def operations(way, strata):
    counter, size = Counter(), Size(rows=24, max_len=8, items=60, width=8, strata=strata)
    fit(size, WAYS[way], batches_of(size, 2), [counter])
    return counter.operations.total


def test_operations_grow_little_with_strata():
    few, many = (operations("per_stratum, segments", strata) for strata in (2, 8))
    split_few, split_many = (operations("per_stratum", strata) for strata in (2, 8))
    assert many - few < (split_many - split_few) / 3
    assert many < split_many / 2


@pytest.mark.parametrize(
    ("strategy", "backbone", "words"),
    [
        (StratifiedSingleDeviceStrategy(torch.device("cpu")), "sasrec", "source segments, rule"),
        (StratifiedSingleDeviceStrategy(torch.device("cpu")), "din", "source split (cheaper here), rule"),
        (StratifiedFSDP2Strategy(), "sasrec", "source split (strategy stratified_fsdp2 partitions the parameters), rule"),
    ],
)
def test_the_run_says_why_strata_are_run_alone(strategy, backbone, words):
    strategy._options = strategy_of(SMALL, Way(mode="per_stratum"), "cpu").options
    strategy._choose(stage_of("sampled_softmax", backbone=backbone))
    assert words in strategy.describe() and "\n" not in strategy.describe()


def test_where_launches_cost_weighted_is_named():
    def found(way, mode, costly):
        return advice(strategy_of(SMALL, WAYS[way], "cpu").options, mode, costly)

    assert "mode weighted makes the same update" in found("per_stratum", "per_stratum", True)
    assert found("per_stratum", "per_stratum", False) is None
    assert found("weighted", "weighted", True) is None
    assert found("gram rule", "per_stratum", True) is None


@pytest.mark.parametrize(
    ("backbone", "on_cpu", "on_gpu"),
    [("sasrec", "segments", "segments"), ("din", "split", "segments"), ("gru4rec", "segments", "split")],
)
@pytest.mark.parametrize("way", ["per_stratum", "plugins"])
def test_a_gpu_is_where_launches_cost(backbone, way, on_cpu, on_gpu):
    made = strategy_of(SMALL, replace(WAYS[way], source="auto"), "cpu")
    assert not launches_cost(made)
    made._choose(stage_of("sampled_softmax", way, backbone=backbone))
    assert made.source == on_cpu
    made._root_device = torch.device("cuda")
    assert launches_cost(made)
    made._choose(stage_of("sampled_softmax", way, backbone=backbone))
    assert made.source == on_gpu
