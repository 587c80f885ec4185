"""The table of strategies: names, classes and capabilities agree; reading it loads no engine."""

import subprocess
import sys

import pytest
from pytorch_lightning.strategies import StrategyRegistry

from ltrec.distributed.strategies import JOINT, STRATEGIES, names_with
from ltrec.strategy import Stratified, make_strategy
from tests.support.commands import ROOT, environment

STRATIFIED = [name for name, info in STRATEGIES.items() if info.is_stratified]
HEAVY = "{'pytorch_lightning', 'deepspeed'} & set(sys.modules)"


def test_reading_the_table_imports_neither_lightning_nor_deepspeed():
    code = f"import sys, ltrec.distributed.strategies, ltrec.distributed.config; sys.exit(bool({HEAVY}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=False).returncode == 0


@pytest.mark.parametrize("name", STRATIFIED)
def test_every_stratified_name_is_lightnings_too_and_makes_the_strategy_of_its_row(name):
    for strategy in (make_strategy(name), StrategyRegistry.get(name)):
        assert isinstance(strategy, Stratified)
        assert strategy.name == name and strategy.info is STRATEGIES[name]


def test_joint_training_is_lightnings_own_and_has_no_modes():
    assert not isinstance(make_strategy(JOINT), Stratified) and not STRATEGIES[JOINT].is_stratified


def test_names_are_found_by_what_strategies_can_do():
    assert names_with(whole_gradients=True) == ("joint", "stratified", "stratified_ddp")
    assert names_with(zero_stage=3) == names_with(gathers_by_module=True) == ("stratified_deepspeed_stage_3",)
    assert names_with(optimizer_copies=True) == tuple(f"stratified_deepspeed_stage_{stage}" for stage in (1, 2, 3))
    assert names_with(one_process=True) == ("joint", "stratified")
