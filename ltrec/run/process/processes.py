"""Rank and world size of this process, read once from the variables of torchrun or srun and passed down as values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

import torch
import torch.distributed as dist
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.run.process.rendezvous_env import Processes as Processes
from ltrec.run.process.rendezvous_env import number, read, text


def detect() -> Processes:
    """Read torchrun's variables, or srun's; a single process without them.

    Raises:
        UserError: variables are wrong or contradict each other, or srun gave the nodes unequal numbers of tasks.
    """
    translate_srun(os.environ)
    return read(os.environ)


_OF_TASK = ("PROCID", "LOCALID", "NODEID", "JOB_ID", "STEP_ID")


def translate_srun(variables: MutableMapping[str, str]) -> None:
    """Set the variables of torchrun for a task of `srun python ...`; torch, DeepSpeed and ltrec read them.

    Only the variables of the *step* count: the batch script of a job with many tasks is one process, and in a step of one task
    (`srun --pty bash`) people call torchrun. Both are left alone.

    Raises:
        UserError: the nodes run unequal numbers of tasks.
    """
    tasks = variables.get("SLURM_STEP_NUM_TASKS", "1")
    if "RANK" in variables or tasks == "1":
        return
    per_node = variables.get("SLURM_STEP_TASKS_PER_NODE", tasks)
    equal = re.fullmatch(r"(\d+)(\(x\d+\))?", per_node)  # "2(x3)": two on each of three; "2,1" is unequal
    if equal is None:
        raise UserError(f"srun gave the nodes unequal numbers of tasks ({per_node}): use --ntasks-per-node instead of --ntasks")
    rank, local_rank, node, job, step = (number(variables, f"SLURM_{name}") for name in _OF_TASK)
    given = {"RANK": rank, "WORLD_SIZE": tasks, "LOCAL_RANK": local_rank, "LOCAL_WORLD_SIZE": equal[1], "GROUP_RANK": node}
    variables.update({name: str(value) for name, value in given.items()})
    if "MASTER_ADDR" not in variables:
        variables["MASTER_ADDR"] = SLURMEnvironment.resolve_root_node_address(text(variables, "SLURM_STEP_NODELIST"))
    variables.setdefault("MASTER_PORT", str(20000 + (job + 1009 * step) % 20000))  # jobs on one node get different ports


def cluster_environment() -> ClusterEnvironment:
    """Lightning's environment plugin: it reads the variables of torchrun, or assumes a single process.

    By default Lightning would detect Slurm first, warn of an unused `srun` on every login node, and requeue jobs by itself.
    """
    return TorchElasticEnvironment() if "RANK" in os.environ else LightningEnvironment()


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
