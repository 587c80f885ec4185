"""The run folder: its places, and the rule that one folder holds one run.

runs/<name>/  config.yaml  provenance.json  metrics.jsonl  checkpoints/  neighbours/  memory/  eval/  report/  wandb/
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.config.load import dump, load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError, first_line
from ltrec.core.secrets import holds_secret, secrets_of
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.seal import opened, sealed, sealed_text
from ltrec.core.storage.slots import LAST, remove_slots

DISPOSABLE_MARK = "THROW-AWAY"
"""In the folder of a smoke test: whoever finds it may remove it all."""

PATHS_BEGIN = "# relative paths begin at "
"""A comment in config.yaml; a JSON string follows."""

_FALLING_BACK = {"best": ("best", "stage1", "last"), "last": ("last",), "previous": ("previous",), "stage1": ("stage1",)}
"""Checkpoint asked for -> those that will do, the first that exists. That is said; a damaged one is never replaced by another."""

_ABSENT = {"stage1": "the run has no first stage that was validated", "previous": "the run has saved one checkpoint so far"}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        """Where the run came from."""
        return self.path / "provenance.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """best.ckpt, last.ckpt, previous.ckpt (the one before) and, of two stages, stage1.ckpt: files, or folders of shards."""
        return self.path / "checkpoints"

    @property
    def eval(self) -> Path:
        """Per-user ranks, one Parquet file per split and scorer."""
        return self.path / "eval"

    @property
    def memory(self) -> Path:
        """What the memory of `plugin.name=memory` knows of items, and how much it weighs beside each checkpoint."""
        return self.path / "memory"

    @property
    def neighbours(self) -> Path:
        """Which items belong together, counted for the baselines; one Parquet file each."""
        return self.path / "neighbours"

    def run_id(self) -> str:
        """Identity of the run, drawn when it was started and kept when it is resumed."""
        return str(self.read_provenance()["run_id"])

    def read_provenance(self) -> dict[str, Any]:
        """Where the run came from.

        Raises:
            UserError: provenance.json is missing or damaged; says how.
        """
        try:
            found = opened(self.provenance.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.provenance} is missing") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.provenance} is damaged: {first_line(error)}") from None
        if not isinstance(found.get("run_id"), str):
            raise UserError(f"{self.provenance} is damaged: it holds no run_id")
        return found

    def checkpoint(self, which: str) -> Path:
        """The checkpoint `best`, `last`, `previous` or `stage1`, the first stage's best, to be read, not resumed.

        `best` falls back to `stage1` while no second stage was validated, and to `last` when nothing was.

        Raises:
            UserError: when there is no such name, or the run has no checkpoint.
        """
        if which not in _FALLING_BACK:
            raise UserError(f"--checkpoint {which}: it must be best, last or previous, or stage1 of a run with plugins")
        for name in _FALLING_BACK[which]:
            if (found := self.checkpoints / f"{name}.ckpt").exists():
                return found
        if (why := _ABSENT.get(which)) and (self.checkpoints / LAST).exists():
            raise UserError(f"{self.checkpoints} holds no {which}.ckpt: {why}")
        raise UserError(f"{self.checkpoints} holds no checkpoint: train the run first with 'ltrec train {self.config}'")

    def read_config(self) -> RunConfig:
        """The config the run was made with.

        Raises:
            UserError: when the folder is no run folder.
        """
        if not self.config.exists():
            raise UserError(f"{self.path} is no run folder: it has no config.yaml")
        return load([self.config], [])

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved config, with the folder where its relative paths begin: this process's."""
        text = f"{PATHS_BEGIN}{json.dumps(str(Path.cwd()))}\n{dump(config)}"
        private = holds_secret(text, secrets_of(os.environ))  # it can be run again, so it holds what it was given
        atomic_write_text(self.config, sealed_text(text), mode=0o600 if private else None)

    def paths_begin(self) -> Path:
        """The folder where the run's relative paths begin; the working folder when the run does not say."""
        lines = self.config.read_text(encoding="utf-8").splitlines()
        said = next((line for line in lines if line.startswith(PATHS_BEGIN)), None)
        try:
            return Path.cwd() if said is None else Path(json.loads(said.removeprefix(PATHS_BEGIN)))
        except (ValueError, TypeError):
            return Path.cwd()

    def data_digest(self) -> str | None:
        """Digest of the manifest of the data set it was trained on; None where provenance does not say."""
        try:
            digest = self.read_provenance()["data"]["digest"]
        except (UserError, KeyError, TypeError):
            return None
        return digest if isinstance(digest, str) else None


def folder_of(config: RunConfig) -> RunFolder:
    """Where the run lives."""
    return RunFolder(Path(config.out) / config.name)


def begin_run(run: RunFolder, config: RunConfig, provenance: dict[str, Any], *, fresh: bool, throw_away: bool = False) -> None:
    """Make or reopen the folder and say whose it is; rank 0 alone does this. A fresh run forgets what an attempt before it left.

    Args:
        run: the folder, which is known to be this run's.
        config: the resolved run.
        provenance: where it comes from.
        fresh: it begins at step 0.
        throw_away: nobody will miss it.
    """
    if throw_away:
        run.path.mkdir(parents=True, exist_ok=True)
        (run.path / DISPOSABLE_MARK).touch()
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    for folder in (run.path, run.checkpoints):
        for torn in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            torn.unlink()
    run.write_config(config)
    if fresh:
        run.metrics.unlink(missing_ok=True)
        for name in (*_FALLING_BACK, "aside"):
            remove_slots(run.checkpoints / f"{name}.ckpt")
    if fresh or not run.provenance.exists():
        atomic_write_text(run.provenance, json.dumps(sealed(provenance), indent=2) + "\n")
