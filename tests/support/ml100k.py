"""MovieLens-100K, prepared as conf/data/ml-100k.yaml says, and a run on it that is small enough to try every method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.data.fetch import fetch
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.pipeline import prepare
from tests.support.source_tree import ROOT

RAW = ROOT / "data/raw/ml-100k/events.parquet"
"""Where `ltrec fetch ml-100k` puts it; fetched once, kept for later."""

STEPS = 200
STEPS_PER_EPOCH = 20
"""Of all users; `stream.users` makes shorter epochs."""


def raw_ml100k() -> Path:
    """The log, fetched when it is not there.

    Raises:
        UserError: it is not there, and no mirror of it answers.
    """
    if not RAW.exists():
        fetch("ml-100k", RAW.parent)
    return RAW


def prepared_ml100k(folder: Path) -> Manifest:
    """Write the data set.

    Raises:
        UserError: see `raw_ml100k`.
    """
    config = load([ROOT / "conf/data/ml-100k.yaml"], []).prepare
    manifest = prepare(replace(config, sources=(str(raw_ml100k()),)), folder)
    assert -(-manifest.train_rows // 48) == STEPS_PER_EPOCH
    return manifest


def small_config(method: str, data: Path, out: Path, *more: str) -> RunConfig:
    """A method's run of `STEPS` steps, with a SASRec that learns something in them; later words win."""
    words = [
        f"data.path={data}",
        f"out={out}",
        "name=r",
        "stream.batch_rows=48",
        "stream.max_len=32",
        "stream.window=random",
        "model.width=16",
        "model.blocks=1",
        "model.heads=1",
        "model.dropout=0.2",
        "objective.name=softmax",
        "optim.lr=5e-3",
        f"trainer.max_steps={STEPS}",
        "trainer.max_epochs=1000",
        "trainer.patience=0",
        "trainer.validate_every_epochs=2",
        "trainer.log_every_steps=10",
        "trainer.accelerator=cpu",
        "trainer.threads=1",
        "trainer.progress=false",
        "evaluation.bootstrap_samples=100",
        *more,
    ]
    path, more = FILES[method]
    return load([path], [*more, *words])
