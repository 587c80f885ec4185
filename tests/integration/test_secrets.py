"""Keys of every shape, given to a run in every place that takes text: none is in any file of its folder but its own config.yaml."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from random import Random

import pytest

from ltrec.cli.main import main
from ltrec.config.load import load
from tests.support.secret_shapes import SHAPES, drawn
from tests.support.tiny_run import tiny_data, tiny_words


@pytest.fixture
def umask():
    """A group that may read along."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_no_secret_is_in_the_run_folder_but_in_its_own_config(tmp_path: Path, monkeypatch, capsys) -> None:
    random = Random(8)
    secrets = [drawn(name, random) for name in SHAPES if name != "PEM"]
    in_environment, password = "5ec2e7" + "1b" * 17, "hunter2-and-more"
    monkeypatch.setenv("HF_TOKEN", in_environment)
    monkeypatch.setenv("WANDB_SILENT", "true")
    tags = ",".join(f"t-{n} {secret}" for n, secret in enumerate(secrets) if len(secret) < 60)
    long = [secret for secret in secrets if len(secret) >= 60]
    words = [
        *tiny_words(tiny_data(tmp_path / "data"), tmp_path / "runs", "trainer.max_epochs=1", "tracking.wandb=offline"),
        f"tracking.tags=[{tags}]",
        f"tracking.group={in_environment}",
        f"prepare.sources=['https://me:{password}@host/x',{','.join(map(repr, long))}]",
    ]
    monkeypatch.setattr(sys, "argv", ["ltrec", "train", *words])
    assert main(["train", *words]) == 0
    run = tmp_path / "runs" / "r"
    assert main(["evaluate", str(run)]) == 0 and main(["report", str(run)]) == 0
    told = capsys.readouterr()
    hidden = [*secrets, in_environment, password]
    assert [secret for secret in hidden if secret in told.out + told.err] == []
    files = [path for path in run.rglob("*") if path.is_file() and path != run / "config.yaml"]
    assert {"provenance.json", "metrics.jsonl", "best.ckpt", "index.html", "test.parquet"} <= {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files)
    print(
        "FOUND", sorted({(path.name, secret[:14]) for path in files for secret in hidden if secret.encode() in path.read_bytes()})
    )
    assert [(str(path), secret) for path in files for secret in hidden if secret.encode() in path.read_bytes()] == []
    config = run / "config.yaml"
    assert set(load([config], []).prepare.sources) >= set(long), "it can be run again"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files if "wandb" not in path.parts}
    assert modes == {0o640}, "as the user's umask has it"
    assert main(["train", *words]) == 0, "and it goes on, though its checkpoint has forgotten them"


@pytest.mark.usefixtures("umask")
def test_a_config_without_secrets_is_readable_by_the_group(tmp_path: Path, capsys) -> None:
    words = tiny_words(tiny_data(tmp_path / "data"), tmp_path / "runs", "trainer.max_steps=1", "trainer.max_epochs=1")
    assert main(["train", *words]) == 0
    assert stat.S_IMODE((tmp_path / "runs" / "r" / "config.yaml").stat().st_mode) == 0o640
