"""What was found, where it is kept, and what is still to do: lines of facts (`Ledger`) and files of ranks (`ranks`), all committed.

facts-LOG.jsonl, facts-LOG-MODEL.jsonl      a line per run that was trained, and per variant that was ranked
LOG.users.parquet, LOG-MODEL-METHOD-VARIANT.parquet
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.ledger import Ledger, Line, Run
from benchmarks.longtail.ranks import Column, add_column

TRAINED, RANKED = "trained", "ranked"


class Results:
    """The results in a folder; safe to share between threads.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.ledger, self._lock = folder, Ledger(folder, "facts"), threading.Lock()

    def users(self, log: str) -> Path:
        """File of a log's users."""
        return self.folder / f"{log}.users.parquet"

    def ranks(self, data: str, method: str, variant: str) -> Path:
        """File of a variant's ranks; `data` is LOG-MODEL."""
        return self.folder / f"{data}-{method}-{variant}.parquet"

    def trained(self, run: Run) -> Line | None:
        """What is known of the run's training."""
        return self.ledger.find(run.data, TRAINED, run.key)

    def ranked(self, run: Run, variant: str) -> Line | None:
        """What is known of a variant that was ranked from the run."""
        return self.ledger.find(run.data, RANKED, f"{run.key}:{variant}")

    def add_trained(self, run: Run, found: Line, command: str) -> None:
        """Note a run, unless that was done."""
        if self.trained(run) is None:
            self.ledger.add({"phase": TRAINED, **run.facts(), "command": command, **found})

    def add_ranked(self, run: Run, found: dict[str, Any], ranks: Path, *, trained: bool = True) -> None:
        """Note variants of a run, ranks first: a line says that they are there.

        Args:
            run: whose.
            found: facts by variant.
            ranks: file of arrays by variant.
            trained: whether the run has a seed.
        """
        seed = run.seed if trained else None
        with np.load(ranks) as arrays, self._lock:
            for variant, facts in found.items():
                key = f"{run.key}:{variant}"
                path = self.ranks(run.data, run.method, variant)
                add_column(path, facts["users"], Column(seed, key, run.setting, arrays[variant]))
                names = {"phase": RANKED, "data": run.data, "method": run.method, "setting": run.setting, "variant": variant}
                self.ledger.add(names | {"seed": seed, "key": key, **facts})
        ranks.unlink()
