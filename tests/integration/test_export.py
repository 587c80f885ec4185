"""`ltrec export`: a folder that recommends as the run does, in a process that knows no ltrec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.data.manifest import Manifest
from ltrec.run.train import train
from tests.support.given import as_lists, users_of
from tests.support.inputs import column_data
from tests.support.timeouts import scaled
from tests.support.tiny_run import tiny_config

COLUMNS = ["inputs.items=[all]", "inputs.events=[all,time_gap]", "inputs.users=[all]", "model.time_bias=true"]
PLUGINS = ["gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.at=1"]
RUNS = {"plugins": [*COLUMNS, *PLUGINS], "memory": ["plugin.name=memory"]}
MORE = [str(Path(found.origin).parents[1])] if (found := find_spec("onnxruntime")) and found.origin else []
ALONE = "import runpy, sys; sys.modules['ltrec'] = None; sys.path[:0] = sys.argv[2:]"
ALONE += "; runpy.run_path(sys.argv[1], run_name='__main__')"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = column_data(tmp_path_factory.mktemp("export") / "data")
    manifest = Manifest.load(folder)
    replace(manifest, strata=replace(manifest.strata, lower_bounds=(1, 5, 7))).save(folder)
    return folder


@pytest.fixture(scope="module", params=RUNS)
def run(request, data, tmp_path_factory) -> ltrec.Run:
    words = [*RUNS[request.param], "trainer.max_epochs=2", "optim.lr=0.01"]
    return ltrec.load_run(train(tiny_config(data, tmp_path_factory.mktemp(request.param), *words)).path)


def alone(model: Path, histories: list[dict], place: Path) -> list[dict]:
    """What the folder's own script answers, where nobody can import ltrec."""
    given = "".join(json.dumps(history) + "\n" for history in histories)
    words = [sys.executable, "-c", ALONE, str(model / "recommend.py"), *MORE]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, input=given, capture_output=True, text=True, cwd=place, env=plain, timeout=scaled(240))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_an_exported_run_recommends_as_the_run_without_ltrec(run, data, tmp_path, form):
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    run.evaluate(compare=run, bootstrap_samples=50)
    found = ltrec.export(run, format=form, out=tmp_path / "model", k=20, bootstrap_samples=50)
    assert found.parity.histories == 90 and found.parity.unequal == 0 and found.parity.largest < 1e-4
    users = users_of(data)
    strange = {**users[0], "items": ["nobody knows it", *users[0]["items"]], "times": [0, *users[0]["times"]]}
    strange |= {name: [None, *users[0][name]] for name in ("type", "dwell")}
    nobody = {**users[0], "user_id": "n", "items": [], "times": [], "type": [], "dwell": []}
    given = [*users[::9], strange, nobody]
    wanted = run.predict(histories=as_lists(given), k=20, out=tmp_path / "answers").table().to_pylist()
    fields = [{"time": user["times"], **user} for user in given]
    for mine, theirs in zip(alone(found.path, fields, tmp_path), wanted, strict=True):
        assert mine["items"] == theirs["items"] and mine["scores"] == pytest.approx(theirs["scores"], abs=1e-4)
        assert (mine["stratum"], mine["source"]) == (theirs["stratum"], theirs["source"])
    assert len({row["stratum"] for row in wanted}) > 1, "plugins of several strata"
    card = (found.path / "README.md").read_text()
    assert "| all users | 90 |" in card and "Gate: " in card and Manifest.load(data).digest in card
    broken = found.path / "tables.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(AssertionError, match="safetensors is damaged"):
        alone(found.path, fields[:1], tmp_path)
    with pytest.raises(ltrec.UserError, match="holds an exported model; name another --out, or replace it with --overwrite"):
        ltrec.export(run, format=form, out=tmp_path / "model")


def test_mistakes_are_one_line(tmp_path, capfd):
    assert main(["export", str(tmp_path), "--format", "onyx"]) == 2
    assert "--format onyx is unknown (did you mean 'onnx'?); choose from torch, onnx" in capfd.readouterr().err
    assert main(["export", str(tmp_path / "none")]) == 2
    assert "is not a run folder" in capfd.readouterr().err
