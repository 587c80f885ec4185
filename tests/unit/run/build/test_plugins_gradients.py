"""Every kind of plugin in the real stage under the real engine: the trunk's gradient is the strata's, a plugin's is P(z) G_z of its
own stratum, in either mode."""

from __future__ import annotations

import pytest
import torch

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.config.load import load
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.flat import FlatStore
from ltrec.distributed.stores.layout import lay_out
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.training import build_module
from ltrec.strategy.plugins import correct, plugins_of, with_all
from tests.support.engine_run import Bench
from tests.support.naive_strata import naive_step
from tests.support.tiny_run import tiny_words

KINDS = {
    "bottleneck": ["plugin.name=bottleneck"],
    "released": ["plugin.name=bottleneck", "plugin.form=released"],
    "copies": ["plugin.name=copies"],
    "melt": ["plugin.name=melt", "plugin.weight=0.5", "plugin.ramp_steps=3"],
}
CASES = [(model, kind) for model in ("sasrec", "gru4rec", "din") for kind in KINDS if (model, kind) != ("din", "melt")]
PRIOR_K = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)


@pytest.fixture(scope="module", autouse=True)
def doubles():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(data, model, kind, *words):
    """A stage in its second stage, plugins away from their start, and the micro-batches of a step."""
    common = [w for w in tiny_words(data, data / "out") if not w.startswith("model.")]
    config = load([], [*common, f"model.name={model}", "model.width=8", "model.dropout=0", *KINDS[kind], *words])
    opened = open_data(config)
    plan = build_plan(config, opened)
    stage = build_module(config, opened, plan)
    stage.with_plugins.wake(0)
    g = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in stage.named_parameters():
            if stage.group_of(name) == "plugins" and parameter.any() | ("map" in name) | ("up" in name):
                parameter += 0.1 * torch.randn(parameter.shape, generator=g)
    loader = iter(StreamLoader(opened.folder, opened.manifest, plan, world=World(0, 1), accumulate=2))
    return stage, [next(loader), next(loader)]


def rule_of(weights_K):
    return RULES["backdoor"].make(prior_K=weights_K, empty=Hajek(weights_K, torch.ones_like(weights_K)))


def gradients(stage, batches, mode, prior_K, weights_K):
    """Of one step, with the strategies' own pieces."""
    collectives, strata = Collectives(), stage.num_strata
    layout, ordered = lay_out(list(stage.named_parameters()), stage.plugin_of, strata, 1)
    store = FlatStore(ordered, layout, collectives, strata, aside=False) if mode == "per_stratum" else None
    engine = StratifiedEngine(
        rule=rule_of(weights_K), prior_K=prior_K, collectives=collectives, source=SOURCES["split"], store=store
    )
    if mode == "per_stratum":
        Bench(stage, engine, mode).step(batches)
    else:
        correct(plugins_of(stage, stage), engine.plugin_factors_K)
        engine.open(batches[0], rows=False)
        engine.decide(batches[0].step)
        for batch in batches:
            with_all(plugins_of(stage, stage), engine.weighted_loss(stage.losses(batch))).backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in stage.named_parameters()}


@pytest.mark.parametrize("mode", ["per_stratum", "weighted"])
@pytest.mark.parametrize(("model", "kind"), CASES)
def test_a_plugins_gradient_is_its_own_stratums(data, model, kind, mode):
    stage, batches = made(data, model, kind)
    weights_K = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    wanted = naive_step(stage, batches, lambda *_: weights_K, stage.plugin_of, PRIOR_K).gradients
    found = gradients(stage, batches, mode, PRIOR_K, weights_K)
    assert sum(bool(wanted[name].any()) for name in found if stage.group_of(name) == "plugins") > 0
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-9, atol=1e-12, msg=name)


def test_merged_strata_share_their_plugins(data):
    """Two plugins for three strata of the data; the stage, its batches and its plugins agree on two."""
    stage, batches = made(data, "sasrec", "bottleneck", "strata=2", "gradients.name=stratified")
    assert stage.num_strata == 2 == len(batches[0].step_counts_K) == len(stage.with_plugins.plugins["at_state"])
    prior_K = torch.tensor([0.7, 0.3], dtype=torch.float64)
    wanted = naive_step(stage, batches, lambda *_: prior_K, stage.plugin_of, prior_K).gradients
    found = gradients(stage, batches, "per_stratum", prior_K, prior_K)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-9, atol=1e-12, msg=name)
    assert all(found[n].any() for n in found if n.endswith(("at_state.0.up.weight", "at_state.1.up.weight")))
