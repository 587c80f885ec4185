"""Provenance says where a run came from, and nothing that is nobody's business."""

import json
import subprocess
import sys

import pytest
import torch

from ltrec.core.extension import extensions
from ltrec.core.secrets import masked
from ltrec.data.manifest import Manifest
from ltrec.tracking.git_state import git_state
from ltrec.tracking.provenance import provenance
from tests.support.tiny_run import tiny_data


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    folder = tiny_data(tmp_path_factory.mktemp("data"))
    return lambda: provenance(str(folder), Manifest.load(folder), seed=3, world_size=2)


def test_it_names_data_code_and_machine(origin):
    state = json.loads(json.dumps(origin(), allow_nan=False))
    assert state["seed"] == 3 and state["hardware"]["processes"] == 2
    assert state["versions"]["torch"] == torch.__version__.partition("+")[0] or state["versions"]["torch"] == torch.__version__
    assert len(state["data"]["digest"]) == 64 and state["data"]["items"] == 30
    assert state["data"]["strata"]["users"] == [40, 30, 20]
    assert state["started"].endswith("+00:00")


def test_it_names_the_modules_from_outside(origin, monkeypatch):
    ours = extensions.Extension("ours.models", "our-models", "1.2", "0123456789ab")
    monkeypatch.setattr(extensions, "_imported", {"ours.models": ours})
    [extension] = json.loads(json.dumps(origin()))["extensions"]
    assert extension == {"module": "ours.models", "distribution": "our-models", "version": "1.2", "digest": "0123456789ab"}


def test_every_run_has_its_own_id(origin):
    assert origin()["run_id"] != origin()["run_id"]


def test_the_environment_does_not_leak(origin, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t-of-the-environment")
    monkeypatch.setenv("HOSTILE", "s3cr3t-too")
    monkeypatch.setattr(sys, "argv", ["ltrec", "train", "a.yaml", "tracking.api_key=s3cr3t", "name=x"])
    text = json.dumps(origin())
    assert "s3cr3t" not in text
    assert origin()["command"] == "ltrec train a.yaml tracking.api_key=*** name=x"


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("ltrec train x.yaml optim.lr=1e-3", "ltrec train x.yaml optim.lr=1e-3"),
        ("ltrec train wandb_key=abc name=monkey", "ltrec train wandb_key=*** name=monkey"),
        ("ltrec train API_TOKEN=abc", "ltrec train API_TOKEN=***"),
        ("ltrec train --api-key abc name=x", "ltrec train --api-key *** name=x"),
        ("ltrec train db.password=abc", "ltrec train db.password=***"),
        ("ltrec prepare s3://me:pw@host/x", "ltrec prepare s3://***@host/x"),
        (f"ltrec train {'0a' * 20}", "ltrec train ***"),
    ],
)
def test_what_looks_like_a_secret_is_masked(command, kept):
    assert masked(command) == kept


def git(folder, *words):
    who = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_git_state(tmp_path):
    assert git_state(tmp_path) is None, "outside a repository"
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None, "no commit yet"
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked").write_text("x")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a.py").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_no_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None
