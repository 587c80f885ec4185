"""Figures of a run folder: validations, epochs, the code behind it."""

from __future__ import annotations

import json
from pathlib import Path

from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.training.checkpoints.io import read_checkpoint

METRICS = ("hr@10", "ndcg@10")
"""That validation measures."""


def validations(metrics: Path) -> list[dict[str, float]]:
    """Every validation of the run that wrote `metrics`, in order."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [line for line in lines if "val/ndcg@10" in line]


def best_validation(run: RunFolder) -> dict[str, float]:
    """The validation that made the best checkpoint, which in a run of two stages is the second stage's."""
    step = read_checkpoint(find_checkpoint(run, "best"))["global_step"]
    return next(line for line in reversed(validations(run.metrics)) if line["step"] == step)


def validation(run: RunFolder) -> dict[str, dict[str, float]]:
    """Metrics by group at the validation of the best checkpoint: group -> metric -> mean."""
    found: dict[str, dict[str, float]] = {}
    for key, value in best_validation(run).items():
        metric, _, group = key.removeprefix("val/").partition("/")
        if metric in METRICS:
            found.setdefault(group or "all", {})[metric] = round(value, 5)
    return found


def epochs(run: RunFolder) -> dict[str, float]:
    """Epochs of the best checkpoint and in all; of a method with two stages also in which one the best checkpoint was made."""
    best = best_validation(run)
    stage = {"stage": best["stage"]} if "stage" in best else {}
    return {"best_epoch": best["epoch"], "epochs": validations(run.metrics)[-1]["epoch"], **stage}


def commit(run: RunFolder) -> str:
    """The code's commit when the run began; `+` when files had changed since."""
    git = json.loads(run.provenance.read_text()).get("git") or {}
    return f"{str(git.get('commit', 'unknown'))[:10]}{'+' if git.get('dirty') else ''}"
