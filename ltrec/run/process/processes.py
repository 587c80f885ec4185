"""The processes of a run for torch: device, process group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from ltrec.core.world import World
from ltrec.run.process.rendezvous_env import Processes


def device_of(processes: Processes, accelerator: str) -> torch.device:
    """The device of this process: its own GPU where there are GPUs, else the CPU."""
    use_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda", processes.local_rank) if use_gpu else torch.device("cpu")


@contextmanager
def process_group(processes: Processes) -> Iterator[World]:
    """A gloo process group while the context lasts; none for a single process, or if there is a group already."""
    if processes.world.size == 1 or dist.is_initialized():
        yield processes.world
        return
    dist.init_process_group("gloo", rank=processes.world.rank, world_size=processes.world.size)
    try:
        yield processes.world
    finally:
        dist.destroy_process_group()
