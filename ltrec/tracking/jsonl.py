"""metrics.jsonl: one JSON object per line, append-only, cut back to the checkpoint on resume.

A run that was killed and resumed leaves the same lines as one that was not: the checkpoint remembers how many bytes were written
when it was saved, and resuming drops what came after. Every line carries a digest (`ltrec.core.storage.chain`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ltrec.core.storage.atomic import fsync_folder
from ltrec.core.storage.chain import digest_of, first_broken, linked

_TAIL = 1 << 16  # bytes, of which the last line is a part


class JsonlLogger(Logger):
    """A Lightning logger that appends to one file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._before: str | None = None  # digest of the last line; None = not known yet

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
        """Append one line; non-finite numbers become null."""
        if self._before is None:
            self._before = self.digest()
        line, self._before = linked({"step": step, **{k: _number(v) for k, v in metrics.items()}}, self._before)
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def digest(self) -> str:
        """Digest of the last line; empty without lines."""
        if self._before is not None or not self.path.exists():
            return self._before or ""
        with open(self.path, "rb") as handle:
            handle.seek(max(0, self.size() - _TAIL))
            return digest_of(handle.read().rstrip(b"\n").rpartition(b"\n")[2].decode(errors="replace"))

    @rank_zero_only
    def flush(self) -> None:
        """Sync the file to disk, before a checkpoint records its size."""
        if self.path.exists():
            with open(self.path, "rb") as handle:
                os.fsync(handle.fileno())
            fsync_folder(self.path.parent)

    @rank_zero_only
    def truncate(self, size: int) -> None:
        """Cut the file after its last whole line within the first `size` bytes."""
        self._before = None
        if self.size() == 0:
            return
        whole = self.path.read_bytes()[:size].rfind(b"\n") + 1
        if self.size() > whole:
            os.truncate(self.path, whole)


def what_is_wrong(path: Path, size: int, digest: str) -> str | None:
    """A message about missing or damaged lines from before a checkpoint; None if all are intact.

    Args:
        path: metrics.jsonl.
        size: bytes it had.
        digest: of its last line then.
    """
    content = path.read_bytes()[:size] if path.exists() else b""
    lines = content.decode(errors="replace").removesuffix("\n").split("\n")
    if (broken := first_broken(lines)) is not None:
        return f"line {broken} does not match its digest, or the line before it is lost"
    if len(content) < size:
        return f"{len(content):,} of {size:,} bytes are there"
    return None if not size or digest_of(lines[-1]) == digest else "its lines are another run's"


def _number(value: float) -> float | int | None:
    number = value if isinstance(value, int) else float(value)
    return number if math.isfinite(number) else None
