"""`ltrec launch local`: torchrun on this machine, with the same interpreter, as an argument list and never through a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence

FRESH_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""The environment in which processes that start again do not read the addresses of those that died (pytorch#135712)."""


def torchrun(words: Sequence[str], *, processes: int, max_restarts: int, profile: int = 0) -> list[str]:
    """The argument list that trains `words` in so many processes, and records so many steps (0 = none)."""
    options = ["--standalone", f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}"]
    return [sys.executable, "-m", "torch.distributed.run", *options, *_train(words, profile)]


def plain(words: Sequence[str], *, profile: int = 0) -> list[str]:
    """The same in one process, which needs no torchrun."""
    return [sys.executable, *_train(words, profile)]


def _train(words: Sequence[str], profile: int) -> list[str]:
    return ["-m", "ltrec", "train", *words, *(["--profile", str(profile)] if profile else [])]
