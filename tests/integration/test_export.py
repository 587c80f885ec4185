"""`ltrec export`: a folder that recommends as the run does, in a process that knows no ltrec."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.data.manifest import Manifest
from ltrec.run.train import train
from tests.support.given import as_lists, users_of
from tests.support.inputs import column_data_with_strata
from tests.support.own_environment import environment_of, isolated
from tests.support.timeouts import scaled
from tests.support.tiny_run import tiny_config

COLUMNS = ["inputs.items=[all]", "inputs.events=[all,time_gap]", "inputs.users=[all]", "model.time_bias=true"]
PLUGINS = ["gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.at=1"]
RUNS = {"plugins": [*COLUMNS, *PLUGINS], "memory": ["plugin.name=memory"]}
NEEDS = {"torch": ["numpy", "pyarrow", "torch"], "onnx": ["numpy", "pyarrow", "onnxruntime"]}
"""The packages of an environment in which a folder of that format runs."""
NEW = {
    "item_id": ["new-1", "new-2"],
    "brand": ["brand-4", None],
    "genres": [["genres-2"], None],
    "price": [30.0, None],
    "released": [86400, None],
    "text": [[0.5, -1.0, 2.0], None],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return column_data_with_strata(tmp_path_factory.mktemp("export") / "data")


@pytest.fixture(scope="module", params=RUNS)
def run(request, data, tmp_path_factory) -> ltrec.Run:
    words = [*RUNS[request.param], "trainer.max_epochs=2", "optim.lr=0.01"]
    return ltrec.load_run(train(tiny_config(data, tmp_path_factory.mktemp(request.param), *words)).path)


def alone(model: Path, histories: list[dict], place: Path, form: str) -> list[dict]:
    """What the folder's own script answers in an environment that has what it needs, and nothing else."""
    packages = environment_of(place / "environment", NEEDS[form])
    given = "".join(json.dumps(history) + "\n" for history in histories)
    words = isolated(packages, model / "recommend.py")
    done = subprocess.run(words, input=given, capture_output=True, text=True, cwd=place, env={}, timeout=scaled(240))
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
    for mine, theirs in zip(alone(found.path, fields, tmp_path, form), wanted, strict=True):
        assert mine["items"] == theirs["items"] and mine["scores"] == pytest.approx(theirs["scores"], abs=1e-4)
        assert (mine["stratum"], mine["source"]) == (theirs["stratum"], theirs["source"])
    assert len({row["stratum"] for row in wanted}) > 1, "plugins of several strata"
    card = (found.path / "README.md").read_text()
    assert "| all users | 90 |" in card and "Gate: " in card and Manifest.load(data).digest in card
    broken = found.path / "tables.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(AssertionError, match=r"^error: .*safetensors is damaged"):
        alone(found.path, fields[:1], tmp_path, form)
    with pytest.raises(ltrec.UserError, match="holds an exported model; name another --out, or replace it with --overwrite"):
        ltrec.export(run, format=form, out=tmp_path / "model")


@pytest.mark.slow
@pytest.mark.parametrize(("form", "table"), [("torch", "int8"), ("onnx", "fp16")])
def test_a_small_table_with_new_items_in_the_layout_of_the_hub_runs_alone(run, data, tmp_path, form, table):
    pq.write_table(pa.table(NEW), tmp_path / "new.parquet")
    new = {"items": tmp_path / "new.parquet"} if run.config.inputs.items else {}
    options = {"format": form, "k": 32, "bootstrap_samples": 50}
    found = ltrec.export(run, out=tmp_path / "small", table=table, max_loss=1.0, hub=True, **new, **options)
    assert found.appended == (2 if new else 0) and found.parity.largest < 1e-4
    assert found.loss.precision == table and {"all", "tail", "head", "stratum=0"} <= {group.key for group in found.loss.groups}
    assert (found.path / "model.safetensors").exists() and (found.path / "config.json").exists()
    given = [{"time": user["times"], **user} for user in users_of(data)[::9]]
    wanted = run.predict(histories=as_lists(users_of(data)[::9]), k=30, out=tmp_path / "answers").table().to_pylist()
    for mine, theirs in zip(alone(found.path, given, tmp_path, form), wanted, strict=True):
        scores = dict(zip(mine["items"], mine["scores"], strict=True))
        assert {*theirs["items"]} <= {*scores} and ({"new-1", "new-2"} <= {*scores}) == bool(new)
        assert [scores[item] for item in theirs["items"]] == pytest.approx(theirs["scores"], abs=0.05, rel=0.05)


def test_mistakes_are_one_line(tmp_path, capfd):
    assert main(["export", str(tmp_path), "--format", "onyx"]) == 2
    assert "--format onyx is unknown (did you mean 'onnx'?); choose from torch, onnx" in capfd.readouterr().err
    assert main(["export", str(tmp_path / "none")]) == 2
    assert "is not a run folder" in capfd.readouterr().err
