"""Numbers that are none, and windows with nothing in them: every rank must come to the same conclusion, or the next step hangs."""

from dataclasses import replace

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.losses import ExampleLosses
from tests.support.closeness import assert_close, assert_same
from tests.support.engine_run import MODES, bench, ran, spoiled
from tests.support.naive_strata import naive_step
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import Window, crowded

pytestmark = threaded_or_skip
PRIOR_K = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
every_measure = pytest.mark.parametrize("measure", ["gram", "norms"])
every_value = pytest.mark.parametrize("value", [float("nan"), float("inf")])


def gathered(window, spoil, measure, **options):
    """What `gram` or `norms` says on every rank."""

    def on_rank(rank):
        made = bench(window.strata, ToyGram(PRIOR_K), "per_stratum", spoil=spoil(rank), **options)
        made.engine.open(window.batches(rank)[0], rows=True)
        for batch in window.batches(rank):
            made.engine.add_gradients(made.losses, batch)
        return getattr(made.engine, measure)()

    return on_ranks(window.world, on_rank)


@every_value
@every_measure
@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("source", ["split", "retained"])
def test_every_rank_sees_one_rank_s_nan(measure, world, value, place, source):
    """Invariant 13: one stratum, one rank, one micro-batch; decisions are taken from numbers that are equal everywhere."""
    spoil = spoiled(value, stratum=1, rank=range(world)[place], micro=1)
    for found in gathered(crowded(world, 3, 2), spoil, measure, source=source):
        assert not found.isfinite().all()
        if source == "split":
            own = found.diagonal() if measure == "gram" else found
            assert own.isfinite().tolist() == [True, False, True], "only the stratum's own row is spoiled"


@every_measure
@pytest.mark.parametrize("world", [1, 3])
def test_a_loss_without_a_number_is_seen_also_when_its_gradient_has_one(measure, world):
    """As a masked term's may be: the run's losses, and rules that watch them, would never be numbers again."""

    def spoil(rank):
        def added(example, batch):
            return ExampleLosses(example.loss_N + torch.where(example.stratum_N == 2, torch.nan, 0.0), example.stratum_N)

        return added if rank == world - 1 else None

    for found in gathered(crowded(world, 3, 1), spoil, measure):
        own = found.diagonal() if measure == "gram" else found
        assert own.isfinite().tolist() == [True, True, False]


class Overflow(torch.autograd.Function):
    """A plugin whose loss is finite and whose gradient is not."""

    @staticmethod
    def forward(ctx, plugin):
        return plugin.sum() * 0

    @staticmethod
    def backward(ctx, above):
        return torch.full((3, 3), float("inf"), dtype=torch.float64)


@every_measure
@pytest.mark.parametrize("world", [1, 2, 3])
def test_a_plugin_that_overflows_is_seen_too(measure, world):
    """Its gradient is no part of the Gram matrix or of the norms, but it is part of the update."""

    def on_rank(rank):
        made = bench(3, ToyGram(PRIOR_K), "per_stratum", plugins=True)
        if rank == world - 1:
            made.spoil = lambda e, _: ExampleLosses(e.loss_N + Overflow.apply(made.stage.plugins[2]), e.stratum_N)
        made.engine.open(window.batches(rank)[0], rows=True)
        made.engine.add_gradients(made.losses, window.batches(rank)[0])
        return bool(getattr(made.engine, measure)().isfinite().all())

    window = crowded(world, 3, 1)
    assert on_ranks(world, on_rank) == [False] * world


@every_value
@pytest.mark.parametrize("world", [2, 3])
def test_in_one_weighted_pass_the_loss_tells_every_rank(world, value):
    spoil = spoiled(value, stratum=2, rank=world - 1)
    for rank in ran(crowded(world, 3, 1), lambda: ToyLinear(PRIOR_K), "weighted", spoil=spoil):
        assert rank.losses.sum_K.isfinite().tolist() == [True, True, False]
        assert any(not grad.isfinite().all() for grad in rank.gradients.values())


def test_the_next_window_is_clean_again():
    """A row that held NaN must not leak into the step after it."""
    window = crowded(2, 3, 2)
    spoil = spoiled(float("nan"), stratum=1, rank=1)
    true = naive_step(ToyStage(3), window.all_batches(), lambda gram, n: ToyLinear(PRIOR_K).weights(n), toy_owner, PRIOR_K)

    def on_rank(rank):
        made = bench(3, ToyLinear(PRIOR_K), "per_stratum", spoil=spoil(rank))
        made.step(window.batches(rank))
        made.spoil = None
        made.step(window.batches(rank))
        return made.gradients()

    for gradients in on_ranks(2, on_rank):
        assert_close(gradients, true.gradients)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize(
    "make_rule,mode",
    [(r, m) for r in (ToyLinear, ToyGram, ToyCoordinate) for m in MODES[r.kind]],
    ids=lambda x: getattr(x, "kind", x),
)
def test_a_window_with_nothing_in_it_moves_nothing(make_rule, mode, world):
    """Invariant 6: no gradient at all, so that neither momentum nor weight decay moves a parameter."""
    nothing = Window(world, 3, 2, rows=())

    def on_rank(rank):
        made = bench(3, make_rule(PRIOR_K), mode)
        optimizer = torch.optim.AdamW(made.stage.parameters(), lr=0.1, weight_decay=0.1)
        made.step(crowded(world, 3, 2).batches(rank))
        optimizer.step()
        before = {name: p.detach().clone() for name, p in made.stage.named_parameters()}
        made.step(nothing.batches(rank))
        assert made.engine.is_empty()
        optimizer.step()
        return before, {name: p.detach() for name, p in made.stage.named_parameters()}, made.gradients(), made.engine.report

    for before, after, gradients, report in on_ranks(world, on_rank):
        assert gradients is None
        assert_same(after, before)
        assert not report.counts_K.any() and (make_rule is ToyCoordinate or not report.weights_K.any())


def test_rows_of_no_stratum_alone_are_a_window_with_nothing_in_it():
    window = crowded(2, 3, 1)
    nobody = replace(window, rows=tuple(replace(row, stratum=-1) for row in window.rows))
    for rank in ran(nobody, lambda: ToyGram(PRIOR_K), "per_stratum"):
        assert rank.gradients is None and not rank.report.gram_KK.any()


def test_a_loss_that_needs_no_gradient_is_told_at_once():
    """A stage that detached its losses would train nothing, silently."""
    made = bench(3, ToyLinear(PRIOR_K), "per_stratum")
    made.spoil = lambda example, _: ExampleLosses(example.loss_N.detach(), example.stratum_N)
    with pytest.raises(RuntimeError, match="does not require grad"):
        made.step(crowded(1, 3, 1).batches(0))


class Refuses(ToyGram):
    """As the policy `error` does when a stratum is missing."""

    def weights(self, gram_KK, counts_K, key):
        raise UserError(f"{int((counts_K == 0).sum())} strata are missing")


@pytest.mark.parametrize("mode", MODES["gram"])
def test_what_a_rule_refuses_is_refused_on_every_rank(mode):
    """Counts are global, so no rank is left waiting for another one's weights."""

    def on_rank(rank):
        with pytest.raises(UserError, match="1 strata are missing"):
            bench(3, Refuses(PRIOR_K), mode).step(window.batches(rank))
        return True

    window = crowded(3, 3, 1).without(lambda row: row.stratum == 2)
    assert on_ranks(3, on_rank) == [True] * 3
