"""Lightning training under FSDP2 in two gloo processes equals the naive definition in one: weights, optimiser and losses."""

import os
from dataclasses import dataclass, field

import pytest
import torch

import ltrec.launch.training as training
from ltrec.core.world import World
from ltrec.launch.build import build_datamodule, build_plan, build_stage, open_data
from ltrec.launch.strategies import build_stratify
from tests.support.naive_strata import naive_step
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, tiny_config, tiny_data

WORDS = ["model.dropout=0", "trainer.log_every_steps=1", "optim.eps=1e-3", "trainer.max_steps=5", "optim.weight_decay=0.1"]
CLIPPED = ["optim.clip_norm=0.05", "trainer.accumulate=2"]


@dataclass
class Case:
    """One training run."""

    name: str
    words: list[str] = field(default_factory=list)


CASES = [
    Case("per_stratum", ["strategy.mode=per_stratum"]),
    Case("weighted", ["strategy.mode=weighted"]),
    Case("gram", ["rule.name=upgrad"]),
    Case("per_stratum-clip-accumulate", ["strategy.mode=per_stratum", *CLIPPED]),
    Case("weighted-clip-accumulate", ["strategy.mode=weighted", *CLIPPED]),
]


def act_as_rank(rank, size):
    """The environment that torchrun would give; the process group is there already."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        GROUP_RANK="0",
        WORLD_SIZE=str(size),
        LOCAL_WORLD_SIZE=str(size),
        TORCHELASTIC_RUN_ID="test",
        MASTER_ADDR="localhost",
        MASTER_PORT="1",
    )


def run_cases(rank, size, data, out, cases):
    act_as_rank(rank, size)
    for case in cases:
        training.train(tiny_config(data, out / case.name, "strategy.name=stratified_fsdp2", *WORDS, *case.words))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    spawn(run_cases, 2, out / "store", 2, data, out, CASES)
    return out


def naive_run(data, case):
    """The weights after the same five global batches, one backward pass per stratum, in plain torch."""
    words = [w for w in case.words if not w.startswith(("trainer.accumulate", "strategy."))]
    config = tiny_config(data, data / "unused", "strategy.name=stratified", *WORDS, *words)
    opened = open_data(config)
    plan = build_plan(config, opened)
    stage = build_stage(config, opened, plan)
    loader = build_datamodule(config, opened, plan, World(0, 1)).loader
    optimizer = stage.make_optimizer(stage)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, stage.rate)

    told = build_stratify(config, opened, plan)

    def weights(gram_KK, counts_K):
        counts_K = counts_K.double()
        return told.rule.weights(counts_K) if told.rule.kind == "linear" else told.rule.weights(gram_KK, counts_K, 0)

    step = 0
    while step < 5:
        for batch in loader:
            if step == 5:
                break
            found = naive_step(stage, [batch], weights, stage.plugin_of, told.prior_K)
            for name, parameter in stage.named_parameters():
                parameter.grad = found.gradients[name].clone()
            if config.optim.clip_norm:
                torch.nn.utils.clip_grad_norm_(stage.parameters(), config.optim.clip_norm)
            optimizer.step()
            schedule.step()
            loader.advance(batch.step)
            step += 1
    return stage.state_dict(), optimizer.state_dict()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_five_steps_equal_the_definition(data, runs, case):
    weights, optimizer = naive_run(data, case)
    found = checkpoint(runs / case.name / "r")
    assert found["global_step"] == 5
    for name, weight in weights.items():
        torch.testing.assert_close(found["state_dict"][name], weight, rtol=1e-5, atol=1e-6, msg=name)
    theirs = found["optimizer_states"][0]
    assert theirs["param_groups"][0]["params"] == optimizer["param_groups"][0]["params"]
    for number, state in optimizer["state"].items():
        for key in ("exp_avg", "exp_avg_sq", "step"):
            torch.testing.assert_close(theirs["state"][number][key], state[key], rtol=1e-4, atol=1e-6)
