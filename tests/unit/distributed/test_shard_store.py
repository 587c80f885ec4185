"""K gradients in FSDP2's shards, on threaded ranks in float64: the engine's update equals the naive one-process definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.device_mesh import init_device_mesh

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.fsdp2.sharded_module import ShardedModule, as_partition, local
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.sharded import ShardedStore
from tests.support.naive_strata import naive_step
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, renormalised
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded, windows

pytestmark = threaded_or_skip
RULES = {"linear": ToyLinear, "gram": ToyGram, "coordinate": ToyCoordinate}


def sharded_stage(window, **options):
    stage, collectives = ToyStage(window.strata, **options), Collectives()
    mesh = init_device_mesh("cpu", (collectives.world.size,))
    return ShardedModule(stage, mesh, collectives, ["losses"]), collectives


def step(rank, window, prior_K, rule, source, options):
    """One window on one rank: its gradients, gathered, and what the engine decided."""
    sharded, collectives = sharded_stage(window, **options)
    engine = StratifiedEngine(
        rule=RULES[rule](prior_K),
        prior_K=prior_K,
        collectives=collectives,
        source=SOURCES[source],
        store=ShardedStore(sharded, toy_owner, window.strata),
    )
    batches = window.batches(rank)
    engine.open(batches[0], rows=True)
    for batch in batches:
        engine.add_gradients(lambda b, stratum: sharded.module.losses(b), batch)
    gram_KK = engine.gram()
    engine.combine(window.step, gram_KK)
    gradients = {name: p.grad.full_tensor() for name, p in sharded.parameters if p.requires_grad}
    return gradients, engine.report


def naive(window, prior_K, rule, options):
    def weights(gram_KK, counts_K):
        return ToyGram(prior_K).weights(gram_KK, counts_K, 0) if rule == "gram" else renormalised(prior_K, counts_K)

    return naive_step(ToyStage(window.strata, **options), window.all_batches(), weights, toy_owner, prior_K)


def prior(count):
    weights_K = torch.arange(1, count + 1, dtype=torch.float64)
    return weights_K / weights_K.sum()


def check(window, rule, source="split", **options):
    prior_K = prior(window.strata)
    expected = naive(window, prior_K, rule, options)
    for gradients, report in on_ranks(window.world, step, window, prior_K, rule, source, options):
        assert torch.equal(report.counts_K, expected.counts_K.double())
        torch.testing.assert_close(report.gram_KK, expected.gram_KK, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(report.weights_K, expected.weights_K, rtol=1e-12, atol=1e-12)
        for name, gradient in expected.gradients.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-12, atol=1e-12, msg=name)


@settings(max_examples=25)
@given(window=windows(worlds=(2, 3, 4), strata=(2, 5), nobody=False), plugins=st.booleans(), coupled=st.booleans())
def test_any_split_of_any_rows_gives_the_naive_update(window, plugins, coupled):
    check(window, "gram", "retained" if coupled else "split", plugins=plugins, couples_rows=coupled)


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("strata", [2, 5, 10])
@pytest.mark.parametrize("rule", ["linear", "gram"])
def test_full_windows(world, strata, rule):
    check(crowded(world, strata, micros=2), rule, plugins=True)


def combined_by_coordinate(rank, window, prior_K):
    gradients, _ = step(rank, window, prior_K, "coordinate", "split", {"plugins": True})
    return gradients


@pytest.mark.parametrize("world", [2, 3])
def test_a_rule_by_coordinate_sees_shards_of_the_true_rows(world):
    window, prior_K = crowded(world, 3, micros=2), prior(3)
    rows = []
    for stratum in range(3):
        alone_K = torch.eye(3, dtype=torch.float64)[stratum]
        stage = ToyStage(3, plugins=True)
        rows.append(naive_step(stage, window.all_batches(), lambda gram, counts, w=alone_K: w, toy_owner, prior_K).gradients)
    for gradients in on_ranks(world, combined_by_coordinate, window, prior_K):
        for name, gradient in gradients.items():
            expected = rows[0][name]
            if toy_owner(name) is None:
                stacked_KN = torch.stack([row[name].flatten() for row in rows])
                expected = ToyCoordinate(prior_K).combine(stacked_KN, torch.ones(3)).view_as(expected)
            torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12, msg=name)


def leave_alone(rank, window):
    """Rows are gathered aside: gradients that were there stay, until the window is thrown away."""
    sharded, collectives = sharded_stage(window)
    store = ShardedStore(sharded, toy_owner, window.strata)
    for _, parameter in sharded.parameters:
        parameter.grad = as_partition(torch.full_like(local(parameter.detach()), 7.0), parameter)
    for batch in window.batches(rank):
        store.add(0, sharded.module.losses(batch).loss_N.sum(), retain_graph=False)
    store.settle()
    kept = all((local(p.grad) == 7.0).all() for _, p in sharded.parameters)
    moved = bool(store.rows[0].abs().sum() > 0) and not store.rows[1:].any()
    gathered = sum(p.numel() for p in sharded.module.parameters())
    store.discard()
    at_rest = sum(local(p.detach()).numel() for p in sharded.module.parameters())
    nothing = all(p.grad is None for p in sharded.module.parameters())
    return kept, moved, nothing, gathered, at_rest, store.rows.shape, store.extra_bytes, collectives.calls["all_gather"]


def test_gradients_that_were_there_stay_and_the_gathered_copy_goes():
    found = on_ranks(2, leave_alone, crowded(2, 3, micros=3))
    whole = sum(p.numel() for p in ToyStage(3).parameters())
    for kept, moved, nothing, gathered, at_rest, shape, extra, gathers in found:
        assert kept and moved and nothing and gathers == 1
        assert gathered == whole and at_rest < whole
        assert shape[0] == 3 and shape[1] < at_rest + 1 and extra == 4 * shape[1] * 8
    assert sum(outcome[4] for outcome in found) == whole
