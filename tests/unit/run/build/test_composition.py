"""Every file in conf/model goes with every file in conf/method, or is refused for a reason that stands here.

`ltrec train conf/data/X.yaml conf/model/Y.yaml conf/method/Z.yaml`: each pair is put together as a run would, of the size that
the files say and on torch's meta device, where nothing costs memory or time: backbone, plugins, loss, emphasis, adversary, rule,
strategy. New files are found by themselves.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ltrec.config.files import method_file
from ltrec.config.load import load
from ltrec.config.source import read_file
from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.run.build.combinations import refuse_combinations
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.strategies import build_strategy, build_stratified_options
from ltrec.run.build.training import build_module
from ltrec.run.build.two_stages import build_switch, refuse_plugins
from ltrec.run.build.world_size import check_world
from ltrec.run.process.rendezvous_env import Processes
from tests.support.shards import random_users, write_dataset
from tests.support.source_tree import ROOT

MODELS = sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
METHODS = sorted(path.stem for path in (ROOT / "conf/method").rglob("*.yaml"))
PAIRS = [(model, method) for model in MODELS for method in METHODS]

REFUSED = {
    ("din", "ltp"): r"adversary\.weight=0\.1 needs a backbone with states, and model\.name=din has none",
    ("din", "ltp-adversarial"): r"adversary\.weight=0\.1 needs a backbone with states, and model\.name=din has none",
    ("din", "pin-ltp"): r"adversary\.weight=0\.1 needs a backbone with states, and model\.name=din has none",
    ("din", "melt"): r"plugin\.name=melt maps states, and model\.name=din has none",
}
"""(model, method) -> words of the reason."""

METHOD_KEYS = {"stream": {"stream.unit", "stream.users"}, "trainer": {"trainer.ema"}}
"""Of the stream only what an example is and whom is trained on; of the trainer only which weights score."""

METHOD_SECTIONS = {"name", "strata", "plugin", "emphasis", "adversary", "gradients", *METHOD_KEYS}
"""What a method may say: never data or model, so that it goes with all of them."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three strata, a thousand items."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, random_users([40, 30, 20], num_items=1000, longest=8), num_items=1000)
    return folder


def put_together(data: Path, *names: str) -> torch.nn.Module:
    config = load([ROOT / name for name in names], [f"data.path={data}", "stream.lanes=24", "stream.batch_rows=24"])
    refuse_combinations(config)
    check_world(config, 1)
    opened = open_data(config)
    plan = build_plan(config, opened)
    refuse_plugins(config, plan, limit=None)
    with torch.device("meta"):
        stage = build_module(config, opened, plan)
    build_switch(config, data, quiet=True)
    told = build_stratified_options(config, opened, plan)
    strategy = build_strategy(config, Processes(World(0, 1), 1, 0), "cpu", told)
    assert (told is None) == (config.gradients.name == "joint") == (strategy == "auto")
    return stage


def test_there_are_pairs() -> None:
    assert {"sasrec", "gru4rec", "din"} <= set(MODELS)
    assert {"joint", "ipw", "upgrad"} <= set(METHODS)
    assert set(REFUSED) <= set(PAIRS), "refused, but not there"


@pytest.mark.parametrize("method", METHODS)
def test_method_files_set_neither_data_nor_model(method: str) -> None:
    settings = read_file(ROOT / method_file(method), method)
    assert {setting.key.split(".")[0] for setting in settings} <= METHOD_SECTIONS
    for section, keys in METHOD_KEYS.items():
        assert {setting.key for setting in settings if setting.key.startswith(f"{section}.")} <= keys
    assert [setting.value for setting in settings if setting.key == "name"] == [f"{method}-{{digest}}"], (
        "runs of two methods share no folder"
    )


@pytest.mark.parametrize(("model", "method"), PAIRS, ids=[f"{model}-{method}" for model, method in PAIRS])
def test_every_pair_is_built_or_refused_with_a_reason(data: Path, model: str, method: str) -> None:
    names = (f"conf/model/{model}.yaml", method_file(method))
    if (model, method) in REFUSED:
        with pytest.raises(UserError, match=REFUSED[model, method]) as caught:
            put_together(data, *names)
        assert "\n" not in str(caught.value)
        return
    stage = put_together(data, *names)
    assert {parameter.device.type for parameter in stage.parameters()} == {"meta"}
    assert sum(parameter.numel() for parameter in stage.parameters()) > 10_000
