"""A trained run, as `ltrec.train` and `ltrec.load_run` return it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ltrec.api.evaluate import evaluate
from ltrec.api.predict import predict
from ltrec.api.report import Report, report
from ltrec.api.results.evaluation import Evaluation, number
from ltrec.api.results.predictions import Predictions
from ltrec.api.session import session
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.memory.text import memory_facts
from ltrec.evaluation.table import EvalTable
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.config_file import read_config
from ltrec.run.scoring.memory_choices import latest_choice
from ltrec.training.checkpoints.io import read_checkpoint, whole_file


@dataclass(frozen=True, slots=True)
class Run(os.PathLike[str]):
    """A run folder. It is accepted wherever its path is.

    Attributes:
        path: the folder.
        config: all settings of the run.
    """

    path: Path
    config: RunConfig = field(repr=False)

    def __fspath__(self) -> str:
        """The folder."""
        return str(self.path)

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.config.name

    @property
    def best(self) -> Path:
        """The best checkpoint; the last one where nothing was validated."""
        return self.checkpoint("best")

    def checkpoint(self, which: str) -> Path:
        """The checkpoint `best`, `last`, `previous` or `stage1`.

        Raises:
            UserError: there is none.
        """
        return find_checkpoint(RunFolder(self.path), which)

    def metrics(self) -> list[dict[str, Any]]:
        """Logged metrics, line by line: `step`, `epoch`, `train/loss`, `val/ndcg@10`, ...

        Raises:
            UserError: nothing was, or the file is damaged.
        """
        file = RunFolder(self.path).metrics
        try:
            return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            raise UserError(f"{file} is missing: train the run first") from None
        except ValueError as error:
            raise UserError(f"{file} is damaged: {error}") from None

    def ranks(self, split: str = "test", baseline: str = "") -> pa.Table:
        """The table that `evaluate` left: a row per user with user_id, stratum, activity, target, rank, ...

        Args:
            split: `test` or `valid`.
            baseline: the name of one; empty = the model.

        Raises:
            UserError: the split was not evaluated, or the table is damaged.
        """
        return EvalTable.read(RunFolder(self.path).eval_table(split, baseline)).rows

    def evaluate(self, **options: Any) -> Evaluation:
        """`ltrec.evaluate` of this run."""
        return evaluate(self.path, **options)

    def predict(self, **options: Any) -> Predictions:
        """`ltrec.predict` with this run."""
        return predict(self.path, **options)

    def report(self, *others: str | os.PathLike[str], **options: Any) -> Report:
        """`ltrec.report` of this run, held against others."""
        return report(self.path, *others, **options)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, as the last checkpoint has them; the keys are in `ltrec.api`.

        Raises:
            UserError: the run has no checkpoint, or a damaged one.
        """
        folder, checkpoint = RunFolder(self.path), self.best
        state = read_checkpoint(folder.last)
        best, memory = state["callbacks"].get("Checkpoints", {}).get("best", {}), None
        if self.config.memory is not None:
            memory = latest_choice(folder.memory_choices, sha256_file(whole_file(checkpoint)))
        return {
            "run": str(self.path),
            "step": state["global_step"],
            "epoch": state.get("run", {}).get("epochs"),
            "monitor": self.config.trainer.monitor,
            "best": number(best.get("best", best.get("stage1", math.nan))),
            "checkpoint": str(checkpoint),
            "memory": None if memory is None else memory_facts(memory[0]["form"], memory[0]["neighbours"], memory[1]),
        }


def load_run(path: str | os.PathLike[str]) -> Run:
    """A run by its folder, whatever the process that trained it.

    Raises:
        UserError: the folder holds no run, or its config is damaged.
    """
    with session(progress=False):
        return Run(Path(path), read_config(RunFolder(Path(path))))
