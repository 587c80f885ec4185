"""What the engine is made of: collectives that are put off, the Gram matrix in blocks, the layout of a flat vector, the sources."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.gram import _COLUMNS, gram, pack, squares, unpack
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.layout import lay_out
from tests.support.closeness import assert_same
from tests.support.engine_run import MODES, bench, ran
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded

PRIOR_K = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1], dtype=torch.float64)
SHAPES = {"a": (2, 3), "plugins.1.w": (4,), "b": (5,), "plugins.0.w": (2, 2), "plugins.1.v": (3,), "none": (0,)}


class PutOff(Collectives):
    """Nothing happens before `wait`: the slowest network there is. A result that is used, or a buffer that is filled again, before
    its collective was waited for is then always wrong, not only now and then."""

    def all_reduce(self, tensor):
        return Later(lambda: Collectives.all_reduce(self, tensor))

    def reduce_scatter(self, shard, whole):
        return Later(lambda: Collectives.reduce_scatter(self, shard, whole))

    def all_gather(self, whole, shard):
        return Later(lambda: Collectives.all_gather(self, whole, shard))

    def broadcast(self, tensor):
        return Later(lambda: Collectives.broadcast(self, tensor))


class Later:
    def __init__(self, begin):
        self.begin = begin

    def wait(self):
        if self.begin is not None:
            self.begin().wait()
            self.begin = None


@threaded_or_skip
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("make_rule,mode", [(r, m) for r in (ToyLinear, ToyGram, ToyCoordinate) for m in MODES[r.kind]])
@pytest.mark.parametrize("present", [1, 5])
def test_everything_is_waited_for(make_rule, mode, world, present):
    """Three micro-batches share two buffers; when one stratum alone is there, its own row is due again at once."""

    def on_rank(rank):
        made = bench(5, make_rule(PRIOR_K), mode, collectives=PutOff())
        for _ in range(2):
            made.step(window.batches(rank))
        return made.gradients(), made.engine.report, made.engine.total_losses().sum_K

    window = crowded(world, 5, 3).without(lambda row: row.stratum >= present)
    prompt = ran(window, lambda: make_rule(PRIOR_K), mode)
    for (gradients, report, sums_K), expected in zip(on_ranks(world, on_rank), prompt, strict=True):
        assert_same(gradients, expected.gradients)
        assert torch.equal(report.counts_K, expected.report.counts_K) and torch.equal(sums_K, expected.losses.sum_K)


@pytest.mark.parametrize("columns", [0, 1, (1 << 15) - 1, 1 << 15, (1 << 16) + 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gram_matrix_over_blocks_of_columns(columns, dtype):
    rows_KN = torch.randn(4, columns, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = gram(rows_KN)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, rows_KN.double() @ rows_KN.double().T, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_half_a_symmetric_matrix_is_all_of_it(size):
    square = torch.arange(size * size, dtype=torch.float64).view(size, size)
    symmetric = square + square.T
    assert pack(symmetric).numel() == size * (size + 1) // 2
    assert torch.equal(unpack(pack(symmetric), size), symmetric)


@given(st.permutations(sorted(SHAPES)), st.integers(1, 7), st.sampled_from([(), ("a",), ("plugins.0.w",), ("a", "b")]))
@settings(max_examples=40, derandomize=True)
def test_layout_places_every_parameter_once(names, world, frozen):
    """Trunk first, each stratum's plugins together, padding last; shards know what of theirs is whose."""
    parameters = {name: torch.nn.Parameter(torch.zeros(SHAPES[name]), requires_grad=name not in frozen) for name in names}
    layout, ordered = lay_out(list(parameters.items()), toy_owner, 3, world)
    flat = torch.full((layout.size,), -1.0)  # padding stays -1
    for view, parameter in zip(layout.views(flat), ordered, strict=True):
        assert view.shape == parameter.shape and (view == -1).all(), "places do not overlap"
        owner = toy_owner(next(name for name, p in parameters.items() if p is parameter))
        view.fill_(9 if owner is None else owner)
    trainable = sum(p.numel() for p in parameters.values() if p.requires_grad)
    assert trainable <= layout.size < trainable + world and layout.size % world == 0
    assert layout.partition_size * world == layout.size and (flat[trainable:] == -1).all()
    assert (flat == 9).sum() == layout.trunk and (flat[: layout.trunk] == 9).all()
    for rank, shard in enumerate(flat.view(world, -1)):
        assert (shard == 9).sum() == layout.trunk_of_partition(rank) and (shard[: layout.trunk_of_partition(rank)] == 9).all()
        for stratum in range(3):
            assert (shard[layout.plugin_of_partition(rank, stratum)] == stratum).all()
            assert (shard == stratum).sum() == shard[layout.plugin_of_partition(rank, stratum)].numel()


@pytest.mark.parametrize("source", SOURCES)
def test_sources_yield_every_stratum_asked_for(source):
    """Same losses from both; a stratum that this rank lacks is None and costs no pass; the last one frees the graph."""
    stage, passes = ToyStage(5), []
    [batch] = crowded(1, 5, 1).without(lambda row: row.stratum == 2).batches(0)

    def losses(part, stratum):
        assert part.num_rows > 0
        passes.append(stratum)
        return stage.losses(part)

    found = list(SOURCES[source](losses, batch, [0, 2, 3, 4]))
    assert [stratum for stratum, _, _ in found] == [0, 2, 3, 4] and found[1][1] is None
    assert passes == ([None] if source == "retained" else [0, 3, 4])
    assert [again for _, _, again in found] == [source == "retained"] * 3 + [False]
    whole = stage.losses(batch)
    for stratum, loss_N, _ in found:
        if loss_N is not None:
            torch.testing.assert_close(loss_N, whole.loss_N[whole.stratum_N == stratum], rtol=1e-12, atol=1e-12)


@threaded_or_skip
@pytest.mark.parametrize("world", [2, 3, 4])
def test_counters_hold_what_a_ring_sends(world):
    def on_rank(rank):
        collectives, whole = Collectives(), torch.zeros(12 * world, dtype=torch.float64)
        collectives.all_reduce(whole).wait()
        collectives.reduce_scatter(whole[:12].clone(), whole).wait()
        collectives.all_gather(whole, whole[:12].clone()).wait()
        collectives.broadcast(whole).wait()
        return dict(collectives.calls), dict(collectives.sent)

    step = 12 * 8 * (world - 1)
    sent = {"all_reduce": 2 * step, "reduce_scatter": step, "all_gather": step, "broadcast": step}
    assert on_ranks(world, on_rank) == [(dict.fromkeys(sent, 1), sent)] * world


def test_norms_of_float32_rows_hold_six_digits_and_find_what_is_not_finite():
    rows = torch.randn(3, 5 * _COLUMNS + 17, generator=torch.Generator().manual_seed(1)) * torch.tensor([[1e-6], [1.0], [1e6]])
    torch.testing.assert_close(squares(rows), rows.double().square().sum(1), rtol=1e-5, atol=0)
    assert squares(rows.double()).tolist() == pytest.approx(rows.double().square().sum(1).tolist(), rel=1e-12)
    for number, value in enumerate((torch.nan, torch.inf, -torch.inf)):
        rows[number, -number - 1] = value
    assert not squares(rows).isfinite().any()
