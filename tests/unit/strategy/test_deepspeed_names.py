"""DeepSpeed's names are in the table without DeepSpeed being imported."""

import subprocess
import sys

import pytest
from pytorch_lightning.strategies import StrategyRegistry

from ltrec.distributed.strategies import STRATEGIES
from tests.support.commands import ROOT, environment

IMPORTED = "import sys, ltrec.strategy, ltrec.run.train; sys.exit('deepspeed' in sys.modules)"


def test_importing_the_table_does_not_import_deepspeed():
    done = subprocess.run([sys.executable, "-c", IMPORTED], cwd=ROOT, env=environment(), check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_each_stage_is_registered_and_makes_its_strategy(stage):
    name = f"stratified_deepspeed_stage_{stage}"
    assert STRATEGIES[name].zero_stage == stage
    strategy = StrategyRegistry.get(name)
    assert (strategy.name, strategy.info.modes) == (name, ("weighted", "replay"))
    assert strategy.config["zero_optimization"] == {"stage": stage}


def test_a_configuration_file_in_the_environment_is_not_read(monkeypatch, tmp_path):
    (tmp_path / "theirs.json").write_text('{"gradient_clipping": 7}')
    monkeypatch.setenv("PL_DEEPSPEED_CONFIG_PATH", str(tmp_path / "theirs.json"))
    assert "gradient_clipping" not in StrategyRegistry.get("stratified_deepspeed_stage_1").config
