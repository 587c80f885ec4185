"""Validation by epoch as one table: a row for each epoch and group of users, so that runs can be put side by side.

Read from metrics.jsonl, which is whole also when the run was interrupted and resumed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_METRIC = re.compile(r"val/([^/]+)(?:/(.+))?")


def epoch_table(metrics: Path, *, method: str, run: str, seed: int) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: method, run, seed, epoch, step, stage, group (all, head, tail, stratum=0, ...), and a column a metric.

    Args:
        metrics: metrics.jsonl.
        method: what the runs of one method have in common.
        run: the run's name.
        seed: its seed.
    """
    lines = [line for line in _lines(metrics) if any(_METRIC.fullmatch(key) for key in line)]
    names = sorted({found[1] for line in lines for key in line if (found := _METRIC.fullmatch(key))})
    rows = []
    for line in lines:
        by_group: dict[str, dict[str, Any]] = {}
        for key, value in line.items():
            if found := _METRIC.fullmatch(key):
                by_group.setdefault(found[2] or "all", {})[found[1]] = value
        about = [method, run, seed, line.get("epoch"), line["step"], line.get("stage", 1)]
        rows += [[*about, group, *(values.get(name) for name in names)] for group, values in by_group.items()]
    return ["method", "run", "seed", "epoch", "step", "stage", "group", *names], rows


def _lines(metrics: Path) -> Iterable[Mapping[str, Any]]:
    if metrics.exists():
        for line in metrics.read_bytes().splitlines():
            with suppress(ValueError):  # a damaged line is reported elsewhere; keep the others
                yield json.loads(line)
