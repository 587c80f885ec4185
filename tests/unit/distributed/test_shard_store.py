"""K gradients in FSDP2's shards, on threaded ranks in float64: the engine's update equals the naive one-process definition."""

import pytest
import torch
from hypothesis import given, settings
from torch.distributed.device_mesh import init_device_mesh

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.shard_store import ShardStore
from ltrec.distributed.sharding import ShardedModule, local
from ltrec.distributed.sources import SOURCES
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
        store=ShardStore(sharded, toy_owner, window.strata),
    )
    batches = window.batches(rank)
    engine.open(batches[0], rows=True)
    for batch in batches:
        engine.gather(lambda b, stratum: sharded.module.losses(b), batch)
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


@settings(max_examples=25, deadline=None)
@given(window=windows(worlds=(2, 3, 4), strata=(2, 5), nobody=False))
def test_any_split_of_any_rows_gives_the_naive_update(window):
    check(window, "gram", plugins=True)
