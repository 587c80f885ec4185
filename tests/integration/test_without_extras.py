"""The core alone: its libraries take a log through prepare, train, evaluate and predict, and whatever needs more says what.

All commands run in one process without the extras, for most of a command's time is spent on importing torch.
"""

import json
import shlex
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment

TRAIN = "train conf/data/synthetic.yaml conf/debug/cpu.yaml"
WAY = (
    "fetch synthetic --users 120 --items 40",
    "prepare conf/data/synthetic.yaml",
    f"{TRAIN} name=a trainer.max_steps=3",
    "evaluate runs/a",
    "predict runs/a --out top.parquet",
)
REFUSED = {
    f"{TRAIN} name=b gradients.name=stratified gradients.rule.name=upgrad": (
        "error: TorchJD's UPGradWeighting needs torchjd, cvxpy, qpsolvers, quadprog: pip install 'ltrec[gram]'"
    ),
    f"{TRAIN} name=c gradients.name=stratified strategy.name=deepspeed_stage_2": (
        "error: strategy stratified_deepspeed_stage_2 needs deepspeed: pip install 'ltrec[deepspeed]'"
    ),
    f"{TRAIN} name=d tracking.wandb=offline": "error: tracking.wandb=offline needs wandb: pip install 'ltrec[wandb]'",
    "export runs/a --format onnx": "error: --format onnx needs onnx, onnxscript, onnxruntime: pip install 'ltrec[export]'",
    "index runs/a": "error: ltrec index needs usearch: pip install 'ltrec[index]'",
    "report runs/a": "error: the report needs matplotlib, jinja2: pip install 'ltrec[report]'",
    "quickstart --dataset synthetic": "error: the report needs matplotlib, jinja2: pip install 'ltrec[report]'",
}
SCRIPT = """
import contextlib, io, json, sys
from ltrec.cli.main import main

ends = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    ends.append((code, said.getvalue()))
json.dump(ends, open("ends.json", "w"))
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """Command -> (exit code, what it said on stderr)."""
    place = tmp_path_factory.mktemp("core")
    commands = [*WAY, *REFUSED]
    words = json.dumps([shlex.split(command) for command in commands])
    path = f"{ROOT / 'tests/support/without_extras'}:{ROOT}"
    subprocess.run([sys.executable, "-c", SCRIPT, words], cwd=place, env=environment(PYTHONPATH=path), check=True, timeout=240)
    assert (place / "runs/a/eval/test.parquet").exists() and (place / "top.parquet").exists()
    assert [path.name for path in (place / "runs").iterdir()] == ["a"], "what is refused leaves nothing behind"
    assert '"wandb": "not installed"' in (place / "runs/a/provenance.json").read_text()
    return dict(zip(commands, json.loads((place / "ends.json").read_text()), strict=True))


@pytest.mark.parametrize("command", WAY)
def test_the_core_goes_the_whole_way(ends, command):
    code, said = ends[command]
    assert code == 0, said


@pytest.mark.parametrize("command", REFUSED)
def test_a_feature_without_its_extra_is_one_line(ends, command):
    code, said = ends[command]
    assert (code, said.strip().splitlines()[-1]) == (2, REFUSED[command])
