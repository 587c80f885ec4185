"""The commands behind the figures, as anyone may type them."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.harness.ledger import Run
from benchmarks.longtail import tables

ROOT = Path(__file__).parents[2]


def prepare_words(log: str) -> str:
    """How a log is prepared; LOG stands for its file, DIR for the data set's folder."""
    words = ("prepare.sources=[LOG]", "data.path=DIR", f"prepare.name={log}", *tables.LOGS[log])
    return shlex.join(["ltrec", "prepare", str(tables.SHARED.relative_to(ROOT)), *words])


def train_words(run: Run) -> str:
    """How a run is trained."""
    words = (*run.shared, *run.words, f"seed={run.seed}", "data.path=DIR", "trainer.threads=1")
    return shlex.join(["ltrec", "train", *(str(file.relative_to(ROOT)) for file in run.files), *words])
