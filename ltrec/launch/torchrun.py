"""The command lines of `ltrec launch local`: argument lists for this interpreter, never through a shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence

FRESH_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Restarted processes get a fresh store; else they read the addresses of those that died (pytorch#135712)."""


def torchrun(arguments: Sequence[str], *, processes: int, max_restarts: int, profile: int = 0) -> list[str]:
    """torchrun of `ltrec train arguments...` in `processes` processes; `profile` steps are recorded as a trace (0 = none)."""
    options = ["--standalone", f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}"]
    return [sys.executable, "-m", "torch.distributed.run", *options, *_train(arguments, profile)]


def single_process(arguments: Sequence[str], *, profile: int = 0) -> list[str]:
    """`ltrec train arguments...` in one process, without torchrun."""
    return [sys.executable, *_train(arguments, profile)]


def _train(arguments: Sequence[str], profile: int) -> list[str]:
    return ["-m", "ltrec", "train", *arguments, *(["--profile", str(profile)] if profile else [])]
