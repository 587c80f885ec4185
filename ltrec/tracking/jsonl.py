"""metrics.jsonl: one JSON object per line, append-only, cut back to the checkpoint on resume.

A run that was killed and resumed leaves the same lines as one that was not: the checkpoint remembers how many bytes were written
when it was saved, and resuming drops what came after.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ltrec.core.files import fsync_folder


class JsonlLogger(Logger):
    """A Lightning logger that appends to one file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def version(self) -> str:
        """A file has no versions."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run folder already holds the resolved config."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one line; numbers that JSON cannot hold become null."""
        line = {"step": step, **{k: _number(v) for k, v in metrics.items()}}
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, allow_nan=False) + "\n")

    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    @rank_zero_only
    def flush(self) -> None:
        """Return once all that was written would survive a power cut: what counts the bytes must not outlive them."""
        if self.path.exists():
            with open(self.path, "rb") as handle:
                os.fsync(handle.fileno())
            fsync_folder(self.path.parent)

    @rank_zero_only
    def truncate(self, size: int) -> None:
        """Forget everything after the first `size` bytes."""
        if self.size() > size:
            os.truncate(self.path, size)


def _number(value: float) -> float | int | None:
    number = value if isinstance(value, int) else float(value)
    return number if math.isfinite(number) else None
