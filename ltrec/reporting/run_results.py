"""Reads a run folder for the report. Missing parts are None, which the page mentions; damaged ones raise a UserError.

runs/<name>/config.yaml       shown as is
runs/<name>/provenance.json   versions, git, hardware, data, command
runs/<name>/metrics.jsonl     curves
runs/<name>/quarantine.json   row groups that were damaged while training
runs/<name>/eval/*.parquet    per-user ranks of the model and the baselines
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltrec.core.errors import UserError
from ltrec.core.storage.chain import first_broken
from ltrec.core.storage.run_folder import BASELINE, RunFolder
from ltrec.core.storage.seal import opened, text_is_broken, unsealed_text
from ltrec.data.stream.quarantine.ledger import Ledger, read_ledger
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.curves import Curve
from ltrec.evaluation.table import EvalTable


@dataclass(frozen=True, slots=True)
class History:
    """The lines of metrics.jsonl.

    Attributes:
        lines: one mapping per line, in file order.
        cut_short: whether the last line was incomplete (the run was killed while writing it) and left out.
    """

    lines: tuple[Mapping[str, Any], ...]
    cut_short: bool

    def curve(self, key: str, axis: str) -> Curve:
        """Finite values of `key` against `axis` (``step`` or ``epoch``), in file order; possibly empty."""
        pairs = [(float(line[axis]), float(line[key])) for line in self.lines if _number(line.get(key)) and _number(line.get(axis))]
        x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return Curve(x, y)

    def axis(self) -> str:
        """The x-axis: ``epoch`` if it differs from line to line, else ``step``."""
        trained = [line for line in self.lines if "train/loss" in line] or self.lines
        epochs = [line.get("epoch") for line in trained]
        moving = all(_number(e) for e in epochs) and len(set(epochs)) == len(epochs)
        return "epoch" if epochs and moving else "step"


@dataclass(frozen=True, slots=True)
class RunResults:
    """A run as read from disk. `tables` maps the stem of each file in eval/ to its table; `lost` describes what is wrong with the
    provenance; `quarantine` is what it was trained without."""

    path: Path
    config: str | None
    provenance: Mapping[str, Any] | None
    lost: str | None
    history: History | None
    tables: Mapping[str, EvalTable]
    quarantine: Ledger = ()

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    def split(self) -> str | None:
        """The split to report: test if it was evaluated, else valid, else None."""
        return next((s for s in ("test", "valid") if s in self.tables), None)

    def baselines(self, split: str) -> dict[str, EvalTable]:
        """Tables of the baselines on `split`, by readable name (``popularity``, ``last item``), in the order of `BASELINES`."""
        stems = [s for s in sorted(self.tables) if s.startswith(BASELINE) and s.endswith(f"-{split}")]
        found = [s.removeprefix(BASELINE).removesuffix(f"-{split}") for s in stems]
        names = sorted(found, key=lambda name: ([*BASELINES, name].index(name), name))
        return {name.replace("-", " "): self.tables[f"{BASELINE}{name}-{split}"] for name in names}


def read_run(path: Path) -> RunResults:
    """Read a run folder.

    Raises:
        UserError: it is not a run folder, or a file in it is damaged (the message names the file).
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give a run folder such as runs/NAME")
    run = RunFolder(path)
    config, log, recorded = _text(run.config), _text(run.metrics), _text(run.provenance, errors="replace")
    tables = {file.stem: EvalTable.read(file) for file in run.eval_tables()}
    if config is None and recorded is None and log is None and not tables:
        raise UserError(
            f"{path} holds no run: neither config.yaml, provenance.json, metrics.jsonl nor eval/*.parquet; train one first"
        )
    if config is not None and text_is_broken(config):
        raise UserError(f"{run.config} is damaged: it does not match its digest; restore the file and report again")
    provenance, lost = _provenance(recorded)
    return RunResults(
        path=path,
        config=None if config is None else unsealed_text(config),
        provenance=provenance,
        lost=lost,
        history=None if log is None else read_history(log, run.metrics),
        tables=tables,
        quarantine=read_ledger(run.quarantine),
    )


def _provenance(text: str | None) -> tuple[dict[str, Any] | None, str | None]:
    """The contents of provenance.json, or why it cannot be read, which is treated as if it were missing."""
    try:
        return (None, None) if text is None else (opened(text), None)
    except ValueError as error:
        return None, str(error)


def read_history(text: str, path: Path) -> History:
    """Parse metrics.jsonl. Only the last line may be incomplete, after a run was killed; anything else is damage, and so is a line
    that does not match its digest.

    Raises:
        UserError: the file is damaged; names file and line.
    """
    whole, _, rest = text.rpartition("\n")
    lines = [_mapping(line, f"{path} line {i}") for i, line in enumerate(whole.split("\n"), 1) if line.strip()]
    if (broken := first_broken(whole.split("\n"))) is not None:
        raise UserError(
            f"{path} line {broken} is damaged: it does not match its digest, or the line before it is lost; restore the file or "
            "remove it and report again"
        )
    return History(tuple(lines), cut_short=bool(rest.strip()))


def _text(path: Path, errors: str = "strict") -> str | None:
    try:
        return path.read_bytes().decode("utf-8", errors)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is damaged: byte {error.start} is not UTF-8; restore the file or remove it and report again"
        ) from None


def _mapping(text: str, where: Path | str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is damaged: not JSON ({error}); restore the file or remove it and report again") from None
    if not isinstance(value, dict):
        raise UserError(f"{where} is damaged: not a JSON object; restore the file or remove it and report again")
    return value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
