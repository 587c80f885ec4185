"""A config on paper against the objects that `ltrec train` would build of it: equal to the number, to the byte."""

import pytest
import torch

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.costs import memory
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.stores.replicated import make_flat_store
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.training import build_module
from ltrec.run.build.workload import workload_of
from tests.support.tiny_run import tiny_words

BY_STRATUM = "gradients.name=stratified"
RUNS = {
    "sasrec": [],
    "by distance, post": ["model.positions=distance", "model.norm=post", "model.blocks=3", "model.expansion=2"],
    "gru4rec": ["model.name=gru4rec", "model.layers=2", "optim.name=adam"],
    "din": ["model.name=din", "optim.name=sgd", "optim.momentum=0.9"],
    "sgd": ["optim.name=sgd"],
    "plugins": [BY_STRATUM, "plugin.name=bottleneck"],
    "copies": [BY_STRATUM, "plugin.name=copies"],
    "melt": [BY_STRATUM, "plugin.name=melt"],
    "adversary": ["adversary.weight=0.1"],
    "softmax": ["objective.name=softmax"],
    "time": ["model.time_bias=true", "inputs.events=[time_gap]"],
    "two strata": [BY_STRATUM, "strata=2"],
    "lazy": ["optim.name=lazy_adamw", "gradients.rows=touched"],
}


MODELS = ("model.name=sasrec", "model.name=gru4rec")


def config_of(data, out, *words):
    words = [*tiny_words(data, out), *words]
    dropped = ["objective.negatives"] if "objective.name=softmax" in words else []
    dropped += ["model.heads"] if {"model.name=gru4rec", "model.name=din"} & {*words} else []
    return load([], [word for word in words if word.partition("=")[0] not in dropped])


def built(config):
    opened = open_data(config)
    return opened, build_module(config, opened, build_plan(config, opened))


@pytest.mark.parametrize("name", RUNS)
def test_parameters_and_optimiser_states_are_those_of_the_run(data, tmp_path, name):
    config = config_of(data, tmp_path, *RUNS[name])
    opened, module = built(config)
    trained = [p for p in module.parameters() if p.requires_grad]
    work, _ = workload_of(config, opened)
    assert work.parameters == sum(p.numel() for p in trained)
    assert work.plugins == sum(p.numel() for key, p in module.named_parameters() if module.plugin_of(key) is not None)
    assert work.tensors == len(trained)
    optimizer = module.make_optimizer(module)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    assert memory.optimiser(work, 1) == sum(value.nbytes for value in states)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("source", ["split", "segments", "replay"])
def test_gradients_by_stratum_take_the_bytes_that_their_store_takes(data, tmp_path, source, world):
    mode = "replay" if source == "replay" else "per_stratum"
    rule = ["gradients.rule.name=upgrad"] if mode == "replay" else [f"gradients.source={source}"]
    config = config_of(data, tmp_path, BY_STRATUM, f"gradients.mode={mode}", *rule, "gradients.rows=all", "plugin.name=none")
    opened, module = built(config)
    collectives = Collectives()
    collectives.world = World(0, world)
    store = make_flat_store(module, module.plugin_of, module.num_strata, collectives, aside=mode == "replay", touched=None)
    work, _ = workload_of(config, opened, world=world)
    assert memory.stratum_rows(work, world) == store.rows.nbytes
    buffers = sum(b.nbytes for b in store._buffers)
    extra = buffers - (store._buffers[0].nbytes if buffers and mode == "per_stratum" else 0)  # one holds the gradient in the end
    if source == "segments":
        store.sink([None] * len(store.parameters))
        extra = store._apart.nbytes
    assert memory.second_buffer(work, world) == pytest.approx(extra, abs=4 * world * module.num_strata)


def test_the_choice_of_rows_is_the_run_s(data, tmp_path):
    for words in ([], ["gradients.rows=touched"], ["objective.name=softmax"], [BY_STRATUM, "objective.scope=shared"]):
        config = config_of(data, tmp_path, *words)
        opened, module = built(config)
        work, about = workload_of(config, opened)
        assert about[-1] == module.about_rows
        assert (work.touched is None) == (module.touched is None)


def test_without_data_a_plan_is_an_upper_bound_and_says_so(data, tmp_path):
    config = config_of(data, tmp_path, "objective.scope=shared")
    work, about = workload_of(config, None, items=100_000)
    assert work.items == 100_000 and work.table == 100_001 * 8 and work.positions == 24 * 6
    assert work.touched == 2 * 24 * 6 + 8 and "no data set" in about[0]
    known, about = workload_of(config, open_data(config), items=100_000)
    assert known.positions < work.positions and known.strata == 3 and known.touched < work.touched and "the data set's" in about[0]


def test_a_catalogue_of_unknown_size_and_columns_of_no_data_set_are_refused(data, tmp_path):
    config = config_of(data, tmp_path)
    with pytest.raises(UserError, match="how many items"):
        workload_of(config, None)
    with pytest.raises(UserError, match="prepare it"):
        workload_of(config_of(data, tmp_path, "inputs.items=[all]"), None, items=100)


def test_modes_and_probes_are_those_that_the_strategy_would_choose(data, tmp_path):
    def planned(*words, world=1):
        return workload_of(config_of(data, tmp_path, *words), None, items=100, world=world)[0]

    assert planned().mode == "joint" and planned().engine == "one" and planned(world=2).engine == "ddp"
    assert (planned(BY_STRATUM).mode, planned(BY_STRATUM).gram_share) == ("per_stratum", 1 / 25)
    gram = planned(BY_STRATUM, "gradients.rule.name=upgrad", "strategy.name=deepspeed_stage_2", world=2)
    assert (gram.mode, gram.engine, gram.gram_share, gram.gram_rule) == ("replay", "deepspeed_stage_2", 1.0, True)
    assert planned(BY_STRATUM, "gradients.mode=weighted").gram_share == 0
    assert [planned(BY_STRATUM, model).source for model in MODELS] == ["segments", "segments"]
    for model, sources in {"din": ["split", "segments"], "gru4rec": ["segments", "split"]}.items():
        config = config_of(data, tmp_path, BY_STRATUM, f"model.name={model}")
        assert [workload_of(config, None, items=9, launches_cost=gpu)[0].source for gpu in (False, True)] == sources
    assert planned(BY_STRATUM, "emphasis.name=cvar").source == "retained"


REPLAY = (BY_STRATUM, "gradients.mode=replay", "gradients.rule.name=upgrad")
ALIGNED = "gradients.name=aligned"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((ALIGNED, "strategy.name=fsdp2"), "mode aligned is not possible with strategy stratified_fsdp2"),
        ((ALIGNED, "strategy.name=deepspeed_stage_1"), "mode aligned is not possible with strategy stratified_deepspeed_stage_1"),
        ((ALIGNED, "emphasis.name=cvar"), "mode aligned runs tasks alone"),
        ((*REPLAY, "plugin.name=bottleneck"), "mode replay cannot train plugins"),
        ((*REPLAY, "trainer.accumulate=2"), "mode replay cannot accumulate 2 micro-batches"),
    ],
)
def test_what_the_strategy_would_refuse_is_refused(data, tmp_path, words, why):
    with pytest.raises(UserError, match=why):
        workload_of(config_of(data, tmp_path, *words), None, items=100)


def test_inner_steps_are_those_of_the_trajectories_and_strata(data, tmp_path):
    def planned(*words, source=None, items=100):
        config = config_of(data, tmp_path, "gradients.name=aligned", *words)
        work = workload_of(config, source, items=items)[0]
        return work.trajectories, work.inner_steps, work.first_passes

    assert planned() == (12, 24, 1) and planned("gradients.inner_steps=4") == (6, 24, 1)
    assert planned(items=2_000_000) == (12, 24, 3), "gradients of four tasks at a time take what memory they may"
    assert planned(items=20_000_000) == (12, 24, 0)
    strata = "gradients.tasks=stratum"
    assert planned(strata, "strata=4") == (1, 4, 0) and planned(strata, "gradients.trajectories=3") == (3, 15, 1)
    assert planned(strata, source=open_data(config_of(data, tmp_path)), items=0) == (1, 3, 0), "as many strata as the data have"


def test_planning_leaves_the_generator_alone(data, tmp_path):
    before = torch.random.get_rng_state()
    workload_of(config_of(data, tmp_path), None, items=100)
    assert torch.equal(before, torch.random.get_rng_state())
