"""The run folder: the only place where the names of its files are written. Pure paths; reading and writing is done above.

runs/<name>/
    config.yaml  provenance.json  metrics.jsonl        settings, origin, metrics
    checkpoints/  last.ckpt  previous.ckpt  aside.ckpt  best.ckpt  stage1.ckpt       files, or folders (whole.ckpt and state/)
    neighbours/   <baseline>.parquet                   items that belong together, counted for the baselines
    memory/       neighbours.parquet  similar.parquet  choices.json      the same for `plugin.name=memory`, and how much it weighs
    eval/         <split>.parquet  baseline-<name>-<split>.parquet  <split>.json  <split>-against-<other>.json
    predictions/  top-k.parquet  histories/            the users of the data set, and given histories
                  store-<digest>/                      the latter, until they are in a store
    export/       torch/  onnx/                          the run as a program that needs no ltrec
    index/        items.usearch  index.json             nearest neighbours among the item vectors
    report/       index.html and its figures
    launch/       train.sbatch  train.log  slurm-<job>.log                           how it was started, and its output
    code/         <digest>/ltrec  <digest>/commit.json                               the package that was submitted
    profile/      trace.json.gz                        the trace of `--profile`
    quarantine.json                                    row groups that were damaged while training, and how many rows were replaced
    stalls/       rank-<r>.txt                         stack traces of ranks that stood still
    wandb/                                             Weights & Biases
    loggers/                                           what the loggers of `tracking.loggers` write
    crash-<time>-<pid>.txt                             tracebacks of unexpected failures
    .lock  owner.json                                  who trains here now
    STOP  REQUEUE  THROW-AWAY                          please stop; stopped and not finished; a smoke test, which may be removed
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LAST, PREVIOUS, ASIDE, BEST, STAGE1 = "last.ckpt", "previous.ckpt", "aside.ckpt", "best.ckpt", "stage1.ckpt"
"""Checkpoints: the newest; the one before; the newest when the run went back to another; the best; the first stage's best."""

CHECKPOINTS = "*.ckpt"
"""All of them, as a pattern."""

WHOLE, PARTITIONS = "whole.ckpt", "state"
"""In a checkpoint that is a folder: the weights and the cursor; the optimiser's partitions, one or more files per rank."""

BASELINE = "baseline-"
"""Prefix of the baselines' tables."""

COMMIT = "commit.json"
"""Git state of a package that was copied into the run folder, in a file beside it."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run. Files are only read by methods that say so."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Origin of the run: data, code, machine, other runs."""
        return self.path / "provenance.json"

    @property
    def damaged_provenance(self) -> Path:
        """A damaged provenance file, kept when the run was resumed."""
        return self.path / "provenance.damaged.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def loggers(self) -> Path:
        """The `save_dir` of Lightning loggers that a config names."""
        return self.path / "loggers"

    @property
    def last(self) -> Path:
        """The checkpoint that training resumes from."""
        return self.checkpoints / LAST

    @property
    def stage1(self) -> Path:
        """The best checkpoint of the first of two stages."""
        return self.checkpoints / STAGE1

    def checkpoint_file(self, name: str) -> Path:
        """A checkpoint by its name without the ending: `best`, `last`, `previous`, `stage1`."""
        return self.checkpoints / checkpoint_file_name(name)

    def existing_checkpoints(self) -> list[Path]:
        """Every checkpoint on disk, in the order of their names."""
        return sorted(path for path in self.checkpoints.glob(CHECKPOINTS) if not path.name.startswith("."))

    @property
    def eval(self) -> Path:
        """The folder of evaluation results."""
        return self.path / "eval"

    def eval_table(self, split: str, baseline: str = "") -> Path:
        """Per-user ranks of the model, or of a baseline, on a split."""
        return self.eval / f"{BASELINE}{baseline}-{split}.parquet" if baseline else self.eval / f"{split}.parquet"

    def eval_tables(self) -> list[Path]:
        """Every table of ranks on disk, in the order of their names."""
        return sorted(self.eval.glob("*.parquet"))

    def eval_summary(self, split: str) -> Path:
        """Metrics by group of users, with intervals."""
        return self.eval / f"{split}.json"

    def eval_comparison(self, split: str, other: str) -> Path:
        """The run against another one: differences with intervals, and the gate's verdict."""
        return self.eval / f"{split}-against-{other}.json"

    def eval_comparisons(self, split: str) -> list[Path]:
        """Every such file on disk, in the order of their names."""
        return sorted(self.eval.glob(self.eval_comparison(split, "*").name))

    @property
    def neighbours(self) -> Path:
        """The folder of the baselines' neighbour tables."""
        return self.path / "neighbours"

    def baseline_neighbours(self, baseline: str) -> Path:
        """The neighbour table of one baseline."""
        return self.neighbours / f"{baseline}.parquet"

    @property
    def memory(self) -> Path:
        """The folder of `plugin.name=memory`."""
        return self.path / "memory"

    @property
    def memory_neighbours(self) -> Path:
        """Neighbours of the memory."""
        return self.memory / "neighbours.parquet"

    @property
    def memory_similar(self) -> Path:
        """Similar items of the memory."""
        return self.memory / "similar.parquet"

    @property
    def memory_choices(self) -> Path:
        """Chosen weights of the memory for each checkpoint."""
        return self.memory / "choices.json"

    @property
    def predictions(self) -> Path:
        """Top-k items per user, unless they are written elsewhere."""
        return self.path / "predictions" / "top-k.parquet"

    @property
    def given_predictions(self) -> Path:
        """The folder of top-k items for given histories, unless they are written elsewhere."""
        return self.path / "predictions" / "histories"

    def predictions_for(self, address: str) -> Path:
        """The folder of recommendations for given histories that go to a store."""
        return self.path / "predictions" / f"store-{hashlib.sha256(address.encode()).hexdigest()[:16]}"

    def exported(self, form: str) -> Path:
        """The folder of an exported model of that format, unless it is written elsewhere."""
        return self.path / "export" / form

    @property
    def index(self) -> Path:
        """The folder of the index of item vectors, unless it is written elsewhere."""
        return self.path / "index"

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.path / "report"

    @property
    def launch(self) -> Path:
        """The folder of launch files: how the run was started later or elsewhere."""
        return self.path / "launch"

    @property
    def launch_log(self) -> Path:
        """Output of such a run, over all attempts."""
        return self.launch / "train.log"

    @property
    def job_script(self) -> Path:
        """The Slurm script; submit it again to resume."""
        return self.launch / "train.sbatch"

    @property
    def job_log(self) -> Path:
        """Slurm's own log, as a pattern of Slurm: %j is the job."""
        return self.launch / "slurm-%j.log"

    @property
    def code(self) -> Path:
        """The folder of code snapshots, one folder for each digest."""
        return self.path / "code"

    @property
    def profile(self) -> Path:
        """The trace of `--profile`."""
        return self.path / "profile" / "trace.json.gz"

    @property
    def quarantine(self) -> Path:
        """Damaged row groups that training went without."""
        return self.path / "quarantine.json"

    @property
    def stalls(self) -> Path:
        """The folder of stack traces of ranks that stood still."""
        return self.path / "stalls"

    @property
    def wandb(self) -> Path:
        """The folder of Weights & Biases."""
        return self.path / "wandb"

    @property
    def lock(self) -> Path:
        """Locked with flock by the process that trains here."""
        return self.path / ".lock"

    @property
    def owner(self) -> Path:
        """The process that owns the run."""
        return self.path / "owner.json"

    @property
    def stop(self) -> Path:
        """A file that, once created, makes training save and end."""
        return self.path / "STOP"

    @property
    def requeue(self) -> Path:
        """Training has saved, ended, and is not finished."""
        return self.path / "REQUEUE"

    @property
    def disposable(self) -> Path:
        """The mark of a smoke test: the folder may be removed."""
        return self.path / "THROW-AWAY"

    def is_run(self) -> bool:
        """Whether the folder holds a run: it has a config."""
        return self.config.exists()

    def torn_files(self) -> Iterable[Path]:
        """Temporary files of a process that was killed while it wrote."""
        return (path for folder in (self.path, self.checkpoints) for path in folder.glob(".*.tmp"))

    def unexpected_files(self) -> list[Path]:
        """Unexpected files in a folder without a config, which neither a new run nor a killed one leaves there."""
        before_a_run = {path.name for path in (self.lock, self.owner, self.stop, self.requeue, self.launch, self.code)}
        return sorted(path for path in self.path.iterdir() if path.name not in before_a_run and not _is_left_over(path))


def _is_left_over(path: Path) -> bool:
    """A temporary file, or an empty folder."""
    torn = path.name.startswith(".") and path.name.endswith(".tmp")
    return torn or (path.is_dir() and not path.is_symlink() and not os.listdir(path))


def checkpoint_file_name(name: str) -> str:
    """`best` -> `best.ckpt`."""
    return f"{name}.ckpt"


def crash_file_name(time: str, pid: int) -> str:
    """The traceback of an unexpected failure."""
    return f"crash-{time}-{pid}.txt"


def folder_of_checkpoint(checkpoint: Path) -> RunFolder:
    """The run folder of a checkpoint, or None."""
    return RunFolder(checkpoint.parent.parent)
