"""Steps by stratum in two ways, from one pass and from one for each stratum, and what they come to."""

import copy
from dataclasses import replace

import torch
from torch.testing import assert_close

from benchmarks.harness.steps import WAYS, Size, module_of
from ltrec.distributed.by_segments import SegmentedPass
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.replicated import make_flat_store
from tests.support.rules import build, uniform
from tests.support.threaded import on_ranks
from tests.support.toy_stage import ITEMS

STRATA = 3
SMALL = Size(max_len=12, items=ITEMS, width=4, strata=STRATA, dropout=0.0)
OBJECTIVES = {
    "softmax": {},
    "sampled_softmax": {"negatives": 5},
    "sampled_softmax shared": {"negatives": 5, "scope": "shared"},
    "gbce": {"negatives": 3},
}


def stage_of(objective="softmax", way="per_stratum", dtype=torch.float64, **more):
    """A module that is trained."""
    size = replace(SMALL, objective=objective.split()[0], options=OBJECTIVES[objective], **more)
    return module_of(size, WAYS[way]).to(dtype)


def step(rank, stage, window, source):
    """Gram matrix, losses and gradients of one window."""
    stage, collectives = copy.deepcopy(stage), Collectives()
    owner = {id(p): stage.plugin_of(name) for name, p in stage.named_parameters()}
    if stage.touched is not None:
        stage.touched.join(collectives)
    engine = StratifiedEngine(
        rule=build("backdoor", uniform(STRATA)),
        prior_K=uniform(STRATA),
        collectives=collectives,
        source=SOURCES[source],
        store=make_flat_store(stage, stage.plugin_of, STRATA, collectives, aside=False, touched=stage.touched),
        segmented=SegmentedPass(lambda parameters: [owner.get(id(p)) for p in parameters], stage.seed_dropout)
        if source == "segments"
        else None,
    )

    def losses(part, stratum):
        stage.seed_dropout(part, stratum)
        return stage.losses(part)

    batches = window.batches(rank)
    for batch in batches:
        if batch.micro == 0:
            if stage.touched is not None:
                stage.touched.open(torch.cat([stage.read_items(each) for each in batches]))
            engine.open(batch, rows=True)
        engine.add_gradients(losses, batch)
    gram_KK = engine.gram()
    engine.combine(window.step, gram_KK)
    if stage.touched is not None:
        stage.touched.publish()
    return gram_KK, engine.total_losses().sum_K, {name: p.grad for name, p in stage.named_parameters()}


def compare(stage, window, tolerance=1e-11):
    """See that both ways come to the same."""
    ways = [on_ranks(window.world, step, stage, window, source) for source in ("split", "segments")]
    for (gram, losses, gradients), (gram_s, losses_s, gradients_s) in zip(*ways, strict=True):
        assert gram.diagonal().sum() > 0
        assert_close(gram_s, gram, rtol=tolerance, atol=tolerance)
        assert_close(losses_s, losses, rtol=tolerance, atol=tolerance)
        assert_close(gradients_s, gradients, rtol=tolerance, atol=tolerance)
