"""What a step may cost: collectives, bytes by the ring formula, buffers, positions run. Counted, never timed."""

import pytest
import torch

from tests.support.engine_run import bench
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, ToyWatching
from tests.support.toy_stage import ToyStage
from tests.support.windows import crowded

pytestmark = threaded_or_skip
every_shape = pytest.mark.parametrize("world,strata,micros", [(2, 2, 1), (2, 5, 1), (2, 10, 3), (3, 5, 2), (4, 10, 1), (4, 5, 3)])
NUMBER = 8  # bytes of a float64 and of an int64


def prior(strata):
    return torch.full((strata,), 1 / strata, dtype=torch.float64)


def spent(world, strata, micros, make_rule, mode, steps=1, **options):
    """The engine's collectives on every rank, after some steps; the same everywhere."""

    def on_rank(rank):
        made = bench(strata, make_rule(prior(strata)), mode, **options)
        for _ in range(steps):
            made.step(window.batches(rank))
        return made.engine.collectives, made.engine.store

    window = crowded(world, strata, micros)
    ranks = on_ranks(world, on_rank)
    assert all(c.calls == ranks[0][0].calls and c.sent == ranks[0][0].sent for c, _ in ranks)
    return ranks[0]


def parameter_bytes(strata, **options):
    return NUMBER * sum(p.numel() for p in ToyStage(strata, **options).parameters() if p.requires_grad)


@every_shape
@pytest.mark.parametrize("make_rule", [ToyLinear, ToyGram, ToyCoordinate], ids=lambda rule: rule.kind)
def test_per_stratum_sends_half_of_what_k_reductions_would(world, strata, micros, make_rule):
    """Invariant 17: A K reduce-scatters, one all-gather, and crumbs: at most (A K + 1) / 2 times DDP's + 16 K^2 + padding."""
    collectives, store = spent(world, strata, micros, make_rule, "per_stratum")
    decides = make_rule is ToyGram
    assert dict(collectives.calls) == {"all_reduce": 2, "reduce_scatter": micros * strata, "all_gather": 1} | (
        {"broadcast": 1} if decides else {}
    )
    share = (world - 1) / world
    ddp = 2 * share * parameter_bytes(strata)
    padding = (micros * strata + 1) * share * (store.layout.size * NUMBER - parameter_bytes(strata))
    assert sum(collectives.sent.values()) <= (micros * strata + 1) / 2 * ddp + 16 * strata**2 + padding


@every_shape
@pytest.mark.parametrize("make_rule", [ToyLinear, ToyGram, ToyCoordinate], ids=lambda rule: rule.kind)
def test_crumbs_are_counts_and_norms_or_half_a_matrix(world, strata, micros, make_rule):
    """Which is what makes the bound above hold for K = 2 at W = 2 and for every W from K = 5 on."""
    collectives, store = spent(world, strata, micros, make_rule, "per_stratum")
    share = (world - 1) / world
    flat = (micros * strata + 1) * share * store.layout.size * NUMBER
    matrix = strata * (strata + 1) + strata  # and the weights, which rank 0 broadcasts
    crumbs = share * NUMBER * (2 * strata + (matrix if make_rule is ToyGram else 2 * strata))
    assert abs(sum(collectives.sent.values()) - flat - crumbs) <= 3 + micros * strata, "whole bytes are counted"


@every_shape
@pytest.mark.parametrize("make_rule", [ToyLinear, ToyWatching])
def test_weighted_adds_counts_and_losses_to_an_ordinary_step(world, strata, micros, make_rule):
    """At most 64 bytes x K, once per window, however many micro-batches it has."""
    collectives, _ = spent(world, strata, micros, make_rule, "weighted")
    assert dict(collectives.calls) == {"all_reduce": 1}
    made = bench(strata, make_rule(prior(strata)), "weighted")
    watching, _ = spent(world, strata, micros, make_rule, "weighted", steps=3)
    assert watching.calls["all_reduce"] == 3 and made.engine.collectives.calls.total() == 0, "a world of one sends nothing"
    losses = 2 * (world - 1) / world * strata * NUMBER
    assert sum(collectives.sent.values()) + losses <= 64 * strata


@every_shape
def test_replay_sends_the_rows_but_gathers_nothing(world, strata, micros):
    collectives, _ = spent(world, strata, micros, ToyGram, "replay")
    assert dict(collectives.calls) == {"all_reduce": 2, "reduce_scatter": micros * strata, "broadcast": 1}


def held_bytes(store):
    """Every distinct piece of memory that the store holds, found by looking, not by asking."""
    tensors = [v for v in vars(store).values() if isinstance(v, torch.Tensor)]
    tensors += [v for value in vars(store).values() if isinstance(value, list) for v in value if isinstance(v, torch.Tensor)]
    own = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if not isinstance(t, torch.nn.Parameter)}
    return sum(own.values())


@every_shape
@pytest.mark.parametrize("mode", ["per_stratum", "replay"])
def test_buffers_are_one_gradient_and_a_share_of_k(world, strata, micros, mode):
    """Beyond the gradient that any training holds (of which `per_stratum` makes one of its buffers)."""
    _, store = spent(world, strata, micros, ToyGram, mode, steps=2)
    gradient = store.layout.size * NUMBER
    assert gradient - parameter_bytes(strata) < world * NUMBER
    extra = held_bytes(store) - (gradient if mode == "per_stratum" else 0)
    assert extra == store.extra_bytes <= gradient + strata * gradient / world


@pytest.mark.parametrize("source", ["split", "retained"])
def test_every_position_is_run_once(source):
    """Strata are disjoint rows: K forward passes do the work of one."""

    def on_rank(rank):
        made, run = bench(5, ToyGram(prior(5)), "per_stratum", source=source), []
        losses = made.losses
        made.losses = lambda batch, stratum: run.append(batch.items_T.numel()) or losses(batch, stratum)
        made.step(window.batches(rank))
        return sum(run), len(run), made.stage.dropout_seeds

    window = crowded(2, 5, 2)
    for rank, (positions, runs, seeds) in enumerate(on_ranks(2, on_rank)):
        assert positions == sum(len(row.items) - 1 for row in window.rows if row.rank == rank)
        assert runs == (10 if source == "split" else 2) and len(set(seeds)) == runs, "every pass has a dropout key of its own"


def test_no_pass_is_made_for_a_stratum_that_is_nowhere():
    window = crowded(2, 5, 1).without(lambda row: row.stratum in (1, 4))
    collectives = on_ranks(2, lambda rank: stepped(window, rank))[0]
    assert collectives.calls["reduce_scatter"] == 3


def stepped(window, rank):
    made = bench(window.strata, ToyGram(prior(window.strata)), "per_stratum")
    made.step(window.batches(rank))
    return made.engine.collectives
