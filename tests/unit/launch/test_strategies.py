"""Config words and the strategies behind them."""

import pytest

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.distributed.config import NAMES
from ltrec.launch.processes import Processes
from ltrec.launch.strategies import build_strategy
from ltrec.strategy import STRATEGIES
from tests.support.source_tree import ROOT
from tests.support.tiny_run import tiny_config


def test_every_name_that_a_user_may_say_is_a_strategy_and_in_the_readme():
    assert set(NAMES) == {"joint", *STRATEGIES}
    for name in NAMES:
        assert f"`{name}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", ["stratified_fsdp2", "stratified_deepspeed_stage_2"])
def test_a_loss_scaler_is_refused_where_gradients_are_sharded(name, tmp_path):
    config = tiny_config(tmp_path, tmp_path, f"strategy.name={name}", "trainer.precision=16-mixed")
    with pytest.raises(UserError, match=f"16-mixed is not possible with strategy.name={name}"):
        build_strategy(config, Processes(World(0, 2), 2, 0), "gpu", None)
