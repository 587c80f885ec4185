"""One run of `methods.py`, in a process of its own: train, evaluate if asked, leave one JSON file. `methods_run.py JOB.json`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.child import Job, serve, timed_training
from harness.measures import commit, epochs, validation

from ltrec.config.load import load
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.config_file import folder_of
from ltrec.run.process.detect import detect

METRICS = ("hr@10", "ndcg@10", "ndcg@20", "auc")
"""What lines of results hold, where it was measured."""
LISTS = ("coverage@10",)


def work(job: Job) -> dict[str, Any]:
    """Train; rank the test split if the job asks for it, never while settings are chosen; the figures of the run."""
    config = load([job.config], [])
    seconds = timed_training(config)
    run = folder_of(config)
    found: dict[str, Any] = {
        "validation": validation(run),
        **epochs(run),
        "seconds": round(seconds["wall"], 1),
        "busy": round(seconds["wall"] / max(seconds["processor"], 1e-9), 2),
        "commit": commit(run),
        "test": None,
    }
    if job.asks["test"]:
        files = evaluate_run(run, "test", "best", detect())
        found["test"] = figures(files.pop(config.model.name), config.evaluation)
        found["baselines"] = {name: figures(path, config.evaluation) for name, path in files.items()}
    return found


def figures(path: Path, config: EvaluationConfig) -> dict[str, dict[str, Any]]:
    """Metrics of a table by group: group -> users, and metric -> mean and the ends of its interval over users.

    Where there are new users, `existing` are the others, without an interval.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, group in summarise(EvalTable.read(path), config).groups.items():
        if group.users:
            means = {m: [round(v, 5) for v in (e.mean, e.low, e.high)] for m, e in group.metrics.items() if m in METRICS}
            lists = {m: round(value, 4) for m, value in group.lists.items() if m in LISTS}
            found[key] = {"users": group.users} | means | lists
    if "new" in found:
        parts = [found[key] for key in ("tail", "head") if key in found]
        users = sum(part["users"] for part in parts)
        found["existing"] = {"users": users} | {m: [round(sum(p["users"] * p[m][0] for p in parts) / users, 5)] for m in METRICS}
    return found


if __name__ == "__main__":
    serve(work)
