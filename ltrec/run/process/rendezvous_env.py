"""The variables by which processes know each other, read strictly: what torch would trip over, or wait for, is refused in one line.

WORLD_SIZE, RANK                how many processes, and which of them this is
LOCAL_WORLD_SIZE, LOCAL_RANK    the same on this machine; 1 and 0 where nobody says
MASTER_ADDR, MASTER_PORT        where they meet; needed by several
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from ltrec.core.errors import UserError
from ltrec.core.world import World

_WAY_OUT = "start with torchrun or srun, which set these variables, or unset them (unset RANK WORLD_SIZE LOCAL_RANK)"


PATIENCE_S = 30.0
"""A machine that starts may be known by its name a moment later."""


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


_READ_ON_IMPORT = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def check_ranks(variables: Mapping[str, str]) -> None:
    """Check what Lightning reads while it is imported, before that.

    Raises:
        UserError: a rank is no number.
    """
    for name in _READ_ON_IMPORT:
        number(variables, name, 0)


def read(variables: MutableMapping[str, str]) -> Processes:
    """The processes that the variables speak of; those that torch will want and nobody set are set.

    Raises:
        UserError: a variable is no number, or they contradict each other, or processes could not meet.
    """
    size, rank = number(variables, "WORLD_SIZE", 1), number(variables, "RANK", 0)
    if size > 1 and "RANK" not in variables:
        raise UserError(f"WORLD_SIZE={size} without RANK: which of the {size} processes is this? {_WAY_OUT}")
    if not rank < size:
        raise UserError(f"RANK={rank} with WORLD_SIZE={size}: there is no such process; {_WAY_OUT}")
    local_size, local_rank = number(variables, "LOCAL_WORLD_SIZE", 1), number(variables, "LOCAL_RANK", 0)
    if not local_rank < local_size or size % local_size:
        raise UserError(
            f"LOCAL_RANK={local_rank} and LOCAL_WORLD_SIZE={local_size} with WORLD_SIZE={size}: every machine must run the same"
            f" number of processes, counted from 0; {_WAY_OUT}"
        )
    for name in ("GROUP_RANK", "NODE_RANK"):
        number(variables, name, 0)
    if size > 1:
        _refuse_nowhere(variables)
    if "RANK" in variables:
        for name, value in (("WORLD_SIZE", size), ("LOCAL_WORLD_SIZE", local_size), ("LOCAL_RANK", local_rank)):
            variables.setdefault(name, str(value))
    return Processes(World(rank, size), local_size, local_rank)


def number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    """A whole number that is not negative.

    Raises:
        UserError: it is something else, or missing without a default.
    """
    value = text(variables, name, None if default is None else str(default))
    if not re.fullmatch(r"[0-9]{1,10}", value):
        raise UserError(f"the environment variable {name} is {value!r}, which is no whole number; {_WAY_OUT}")
    return int(value)


def text(variables: Mapping[str, str], name: str, default: str | None = None) -> str:
    """A variable's value.

    Raises:
        UserError: it is missing without a default.
    """
    value = variables.get(name, default)
    if value is None:
        raise UserError(f"the environment variable {name} is not set; {_WAY_OUT}")
    return value


def _refuse_nowhere(variables: Mapping[str, str]) -> None:
    """Torch would look for an impossible meeting place until its time is up."""
    host, port = text(variables, "MASTER_ADDR"), number(variables, "MASTER_PORT")
    if not 1 <= port <= 65535:
        raise UserError(f"MASTER_PORT={port} is no port: it must lie between 1 and 65535")
    last = time.monotonic() + PATIENCE_S
    while (fault := _unresolved(host, port)) is not None:
        if fault[1] or time.monotonic() > last:
            raise UserError(f"MASTER_ADDR={host}: no such machine ({fault[0]}); it must be the name or address of the first one")
        time.sleep(0.5)


def _unresolved(host: str, port: int) -> tuple[str, bool] | None:
    """Why a name leads nowhere, and whether it never will: one too long, or empty between dots, is no host's."""
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        return str(error.strerror), False
    except ValueError as error:
        return str(error), True
    return None
