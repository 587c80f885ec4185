"""The TCP store of the ranks' rendezvous, opened before torch opens it itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from ltrec.core.errors import UserError, first_line
from ltrec.run.process.rendezvous_env import Processes

_TRY_SECONDS = 10.0
"""Time-out of one attempt to connect; signals are handled between attempts."""


def open_store(processes: Processes, seconds: float, should_stop: Callable[[], bool]) -> Store | None:
    """The store; None for a single process, and once there is a process group.

    Keep a reference: torch's own store uses the same server, which ends with its last reference.

    Args:
        processes: this process among all.
        seconds: how long to wait for the process that serves the store.
        should_stop: whether a stop was requested meanwhile.

    Raises:
        UserError: the store cannot be reached.
    """
    if processes.world.size == 1 or dist.is_initialized():
        return None
    address, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), os.environ.get("MASTER_PORT", "12910")  # as Lightning has it
    by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    is_server = processes.world.rank == 0 and not by_torchrun
    deadline = time.monotonic() + seconds
    while True:
        try:
            store = TCPStore(
                address,
                int(port),
                is_master=is_server,
                wait_for_workers=False,
                multi_tenant=True,
                timeout=timedelta(seconds=_TRY_SECONDS),
            )
            return PrefixStore(f"attempt {_attempt()}" if by_torchrun else "ltrec", store)
        except (dist.DistError, ValueError) as error:
            if is_server or time.monotonic() > deadline or should_stop():
                raise UserError(
                    f"no rendezvous at {address}:{port} (MASTER_ADDR, MASTER_PORT): {first_line(error)}; does rank 0 run there?"
                ) from error


def _attempt() -> str:
    """torchrun's store outlives restarted processes and keeps the keys of earlier attempts. Without it the count must not be
    used: of two nodes only the one with the failed process counts a restart."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
