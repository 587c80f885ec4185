"""Every backbone with every plugin and every memory: exported, loaded by the folder's own script, and compared with the run."""

from __future__ import annotations

import runpy

import pytest

import ltrec
from ltrec.config.load import load
from ltrec.models.backbones import BACKBONES
from ltrec.models.memory_forms import FORMS
from ltrec.models.plugins import PLUGINS
from ltrec.run.train import train
from tests.integration import test_export
from tests.support.given import as_lists, users_of
from tests.support.tiny_run import tiny_words

data = test_export.data
EVERY = [
    (backbone, plugin, memory)
    for backbone in BACKBONES.configs()
    for plugin in PLUGINS.configs()
    for memory in ("none", *FORMS)
    if BACKBONES[backbone].has_states or plugin != "melt"  # which maps states
]


def words_of(backbone: str, plugin: str, memory: str) -> list[str]:
    """The settings of a run."""
    prefix = "plugin" if memory == "none" else "plugin.trained"
    words = [f"model.name={backbone}", f"{prefix}.name={plugin}", "trainer.max_epochs=2", "optim.lr=0.02"]
    words += [] if memory == "none" else ["plugin.name=memory", f"plugin.form={memory}", "plugin.weights=[0.3]"]
    return words if plugin == "none" else [*words, "gradients.name=stratified", f"{prefix}.switch.at=1"]


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "plugin", "memory"), EVERY)
def test_every_model_is_exported(data, tmp_path, backbone, plugin, memory):
    common = [word for word in tiny_words(data, tmp_path) if not word.startswith("model.")]
    run = ltrec.load_run(train(load([], [*common, "model.width=8", *words_of(backbone, plugin, memory)])).path)
    form = ("torch", "onnx")[EVERY.index((backbone, plugin, memory)) % 2]
    found = ltrec.export(run, format=form, out=tmp_path / "model", k=12)
    assert found.parity.unequal == 0 and found.parity.largest < 1e-4 and found.parity.histories == 90
    users = users_of(data)[::6]
    names = sorted({item for user in users for item in user["items"]})
    given = [{**user, "candidates": names[number % 5 :: 3] if number % 2 else None} for number, user in enumerate(users)]
    wanted = run.predict(histories=as_lists(given), k=12, out=tmp_path / "answers").table().to_pylist()
    recommend = runpy.run_path(str(found.path / "recommend.py"))["Recommender"](found.path)
    check(recommend(given), wanted)
    check([recommend([one])[0] for one in given], wanted)
    recommend._pairs = min(recommend._pairs, 40)  # a DIN's candidates by parts
    check(recommend(given), wanted)


def check(mine: list[dict], theirs: list[dict]) -> None:
    for own, other in zip(mine, theirs, strict=True):
        assert own["items"] == other["items"] and own["scores"] == pytest.approx(other["scores"], abs=1e-4)
