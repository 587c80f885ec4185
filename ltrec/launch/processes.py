"""Which process of how many this is: read once from what torchrun sets, here at the roof, and passed down as values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ltrec.core.world import World


@dataclass(frozen=True, slots=True)
class Processes:
    """World, processes on this machine, machines."""

    world: World
    local_size: int
    local_rank: int

    @property
    def num_nodes(self) -> int:
        """Machines."""
        return self.world.size // self.local_size


def detect() -> Processes:
    """Read torchrun's variables; a single process without them."""
    number = {name: int(os.environ.get(name, default)) for name, default in _DEFAULTS.items()}
    return Processes(World(number["RANK"], number["WORLD_SIZE"]), number["LOCAL_WORLD_SIZE"], number["LOCAL_RANK"])


_DEFAULTS = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}


def device_of(processes: Processes, accelerator: str) -> torch.device:
    """This process's device: one GPU each when there are GPUs, else the CPU."""
    use_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda", processes.local_rank) if use_gpu else torch.device("cpu")


@contextmanager
def process_group(processes: Processes) -> Iterator[World]:
    """A gloo group for the time of a command that runs outside Lightning; nothing for a single process."""
    if processes.world.size == 1:
        yield processes.world
        return
    dist.init_process_group("gloo", rank=processes.world.rank, world_size=processes.world.size)
    try:
        yield processes.world
    finally:
        dist.destroy_process_group()
