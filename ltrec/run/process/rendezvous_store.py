"""The TCP store in which the processes of a run rendezvous, opened before torch opens it itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from ltrec.core.errors import UserError, first_line
from ltrec.run.process.processes import Processes

_KNOCK_SECONDS = 10.0
"""For how long one try to reach the store may block; signals are heard between tries."""


def meeting_store(processes: Processes, seconds: float, is_over: Callable[[], bool]) -> Store | None:
    """The store; None for a single process, and once there is a process group.

    Hold on to it: torch's own store is the same server, which ends when its last holder lets go, and begins anew otherwise.

    Args:
        processes: this process among all.
        seconds: how long to wait for the process that serves it.
        is_over: whether this process was asked to end meanwhile.

    Raises:
        UserError: nobody serves it.
    """
    if processes.world.size == 1 or dist.is_initialized():
        return None
    address, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), os.environ.get("MASTER_PORT", "12910")  # as Lightning has it
    by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    serves = processes.world.rank == 0 and not by_torchrun
    deadline = time.monotonic() + seconds
    while True:
        try:
            store = TCPStore(
                address,
                int(port),
                is_master=serves,
                wait_for_workers=False,
                multi_tenant=True,
                timeout=timedelta(seconds=_KNOCK_SECONDS),
            )
            return PrefixStore(f"attempt {_attempt()}" if by_torchrun else "ltrec", store)
        except (dist.DistError, ValueError) as error:
            if serves or time.monotonic() > deadline or is_over():
                raise UserError(
                    f"no meeting place at {address}:{port} (MASTER_ADDR, MASTER_PORT): {first_line(error)}; does rank 0 run there?"
                ) from error


def _attempt() -> str:
    """Torchrun's own store outlives processes that start again, and remembers what those before them said. Elsewhere it must not be
    asked: of two nodes only the one whose process died counts a restart."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
