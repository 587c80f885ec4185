"""Rank and world size of this process, read once from the variables of torchrun or srun and passed down as values."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping

from ltrec.core.errors import UserError
from ltrec.run.process.rendezvous_env import Processes, number, read, text


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
        variables["MASTER_ADDR"] = first_node(text(variables, "SLURM_STEP_NODELIST"))
    variables.setdefault("MASTER_PORT", str(20000 + (job + 1009 * step) % 20000))  # jobs on one node get different ports


def first_node(nodes: str) -> str:
    """The first host of a Slurm node list: `gpu[07-08],cpu1` -> `gpu07`. As Lightning reads it, without Lightning."""
    first = re.sub(r"\[(.*?)[,-].*\]", r"\1", nodes)
    return re.sub(r"\[(.*?)\]", r"\1", first).split(" ")[0].split(",")[0]
