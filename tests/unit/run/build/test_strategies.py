"""Config words and the strategies behind them."""

from datetime import timedelta

import pytest

from ltrec.config.load import load
from ltrec.core.world import World
from ltrec.distributed.config import PARALLELISM
from ltrec.distributed.strategies import STRATEGIES
from ltrec.run.build.strategies import build_strategy
from ltrec.run.process.rendezvous_env import Processes
from tests.support.source_tree import ROOT


def test_every_strategy_name_exists_and_is_documented():
    words = {name: ["gradients.name=stratified", f"strategy.name={name}"] for name in PARALLELISM}
    assert {load([], said).registered_strategy for said in words.values()} | {load([], []).registered_strategy} == {*STRATEGIES}
    for name in PARALLELISM:
        assert f"`{name}`" in (ROOT / "docs/gradients.md").read_text()


def test_joint_training_has_one_strategy_whatever_it_is_called():
    assert {load([], [f"strategy.name={name}"]).registered_strategy for name in ("auto", "ddp")} == {"joint"}


@pytest.mark.parametrize("name", PARALLELISM)
def test_every_strategy_of_several_processes_has_the_timeout_and_gloo_for_control(name):
    config = load([], ["gradients.name=stratified", f"strategy.name={name}", "trainer.timeout_seconds=7"])
    for accelerator, backend in (("cpu", "gloo"), ("gpu", "cpu:gloo,cuda:nccl")):
        strategy = build_strategy(config, Processes(World(0, 2), 2, 0), accelerator, None)
        assert strategy._timeout == timedelta(seconds=7)
        assert strategy.process_group_backend == backend
