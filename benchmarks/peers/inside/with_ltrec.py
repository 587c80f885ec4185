"""ltrec: what `ltrec train` and `ltrec evaluate` do, checkpoints, telemetry and tables included."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
from measured import Epochs, Job, Stopwatch, begin, end

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.table import RANK, EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.allocator import keep_freed_memory
from ltrec.run.process.detect import detect
from ltrec.run.train import train

CONF = Path(__file__).parents[3] / "conf"
CLOCK = Path("clock.json")
LANES = 8


class Clock(Epochs, pl.Callback):
    """Counts targets; made by the run, so it leaves what it has found in a file."""

    def count(self, batch: Any) -> int:
        """There is no padding."""
        return int(batch.targets_T.numel())

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write it down."""
        super().on_train_end(trainer, pl_module)
        CLOCK.write_text(json.dumps({"epochs_s": self.seconds, "targets": self.targets}))


def config_of(job: Job) -> RunConfig:
    """SASRec in its shape here, with exact softmax; one validation, after the last epoch."""
    rows = -(-job.rows // LANES) * LANES
    words = {
        "name": "run",
        "out": job.folder,
        "seed": job.seed,
        "data.path": job.data,
        "model.width": job.width,
        "model.blocks": job.blocks,
        "model.heads": job.heads,
        "model.dropout": job.dropout,
        "stream.window": "last",
        "stream.max_len": job.length,
        "stream.batch_rows": rows,
        "stream.lanes": LANES,
        "stream.threads": 1,
        "objective.matmul": job.matmul,
        "optim.lr": job.lr,
        "trainer.max_epochs": job.epochs,
        "trainer.validate_every_epochs": job.epochs,
        "trainer.patience": 0,
        "trainer.accelerator": "cpu",
        "trainer.threads": 1,
        "trainer.progress": "false",
        "trainer.callbacks": "[{class_path: with_ltrec.Clock}]",
        "evaluation.chunk_rows": job.eval_rows,
        "evaluation.top_k": 10,
        "evaluation.cutoffs": "[10]",
    }
    return load([CONF / "model" / "sasrec.yaml"], [f"{key}={value}" for key, value in words.items()])


def main() -> None:
    """Train, rank, print the figures."""
    job = begin()
    keep_freed_memory()  # as the commands do
    config = config_of(job)
    run = train(config)
    with Stopwatch() as ranking, patch.dict(BASELINES, clear=True):  # the model alone, as the peers
        files = evaluate_run(run, "test", "best", detect())
    rank = EvalTable.read(files[config.model.name]).column(RANK)
    hit = rank <= 10
    end(
        system=f"ltrec {version('ltrec')}{'' if job.matmul == 'float32' else f', {job.matmul}'}",
        torch=torch.__version__,
        commit=((json.loads(run.provenance.read_text()).get("git") or {}).get("commit") or "")[:10],
        **json.loads(CLOCK.read_text()),
        users=len(rank),
        evaluation_s=ranking.seconds,
        hr=float(hit.mean()),
        ndcg=float(np.where(hit, 1 / np.log2(rank + 1), 0).mean()),
    )


if __name__ == "__main__":
    main()
