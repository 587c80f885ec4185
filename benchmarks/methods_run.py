"""One run of `methods.py`, in a process of its own: train, evaluate if asked, leave one JSON file. `methods_run.py JOB.json`

The process ends when the one that started it ends, and holds a lock on its job, so that a benchmark that was killed and started
again never has two processes in one run folder. Training resumes from its last checkpoint by itself; the clock goes on, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.files import atomic_write_text
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.launch.evaluating import evaluate_run
from ltrec.launch.processes import detect
from ltrec.launch.run_folder import RunFolder, folder_of
from ltrec.launch.training import train
from ltrec.stages.checkpoint_io import read_checkpoint

METRICS = ("hr@10", "ndcg@10", "ndcg@20", "auc")
"""What lines of results hold, where it was measured; validation knows the first two."""
LISTS = ("coverage@10",)


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is told, and where it leaves what it found.

    Attributes:
        config: the resolved config.
        test: evaluate the test split; never while settings are chosen.
        result: JSON file to write.
        lock: file that keeps other processes from this run.
    """

    config: str
    test: bool
    result: str
    lock: str

    def write(self, path: Path) -> None:
        """For the process to read."""
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(asdict(self)))


class Clock(threading.Thread):
    """Seconds that a run has taken over all the processes that worked on it, to about two seconds."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.before = json.loads(path.read_text()) if path.exists() else {"wall": 0.0, "processor": 0.0}
        self.start_wall, self.start_processor, self.stopped = time.monotonic(), time.process_time(), threading.Event()

    def run(self) -> None:
        """Tick."""
        while not self.stopped.wait(2.0):
            self.note()

    def note(self) -> dict[str, float]:
        """Write and return the sums so far."""
        now = {
            "wall": self.before["wall"] + time.monotonic() - self.start_wall,
            "processor": self.before["processor"] + time.process_time() - self.start_processor,
        }
        if self.path.parent.exists():
            atomic_write_text(self.path, json.dumps(now))
        return now

    def stop(self) -> dict[str, float]:
        """No more ticks."""
        self.stopped.set()
        self.join()
        return self.note()


def end_with_parent() -> None:
    """Watch the process that started this one; without it nobody would know of this one."""

    def watch(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()


def work(job: Job) -> dict[str, Any]:
    """Train, evaluate; the figures of the run."""
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
    if job.test:
        files = evaluate_run(run, "test", "best", detect())
        found["test"] = figures(files.pop(config.model.name), config.evaluation)
        found["baselines"] = {name: figures(path, config.evaluation) for name, path in files.items()}
    return found


def timed_training(config: RunConfig) -> dict[str, float]:
    """Train to the end unless that was done before; seconds on the clock and of the processor."""
    run = folder_of(config)
    done = run.path / "trained.json"
    if done.exists():
        finished: dict[str, float] = json.loads(done.read_text())
        return finished
    clock = Clock(run.path / "clock.json")
    clock.start()
    train(config)
    seconds = clock.stop()
    atomic_write_text(done, json.dumps(seconds))
    return seconds


def validations(metrics: Path) -> list[dict[str, float]]:
    """Every validation of the run that wrote `metrics`, in order."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [line for line in lines if "val/ndcg@10" in line]


def best_validation(run: RunFolder) -> dict[str, float]:
    """The validation that made the best checkpoint, which in a run of two stages is the second stage's."""
    step = read_checkpoint(run.checkpoint("best"))["global_step"]
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


def commit(run: RunFolder) -> str:
    """The code's commit when the run began; `+` when files had changed since."""
    git = json.loads(run.provenance.read_text()).get("git") or {}
    return f"{str(git.get('commit', 'unknown'))[:10]}{'+' if git.get('dirty') else ''}"


def main() -> None:
    """Do the job named on the command line."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    torch.set_num_threads(1)
    end_with_parent()
    with Path(job.lock).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for a process that has lost its parent and is about to end
        try:
            atomic_write_text(Path(job.result), json.dumps(work(job)))
        except UserError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
