"""Environment variables of distributed processes, read strictly: values that torch would fail or hang on are refused in one line.

WORLD_SIZE, RANK                how many processes, and which of them this is
LOCAL_WORLD_SIZE, LOCAL_RANK    the same on this machine; 1 and 0 by default
MASTER_ADDR, MASTER_PORT        where the processes connect; required for several
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


RESOLVE_TIMEOUT_S = 30.0
"""A machine that is starting may become resolvable a moment later."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Rank and world size, and the processes on this machine."""

    world: World
    local_size: int
    local_rank: int

    @property
    def num_nodes(self) -> int:
        """Number of machines."""
        return self.world.size // self.local_size


_READ_ON_IMPORT = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def check_ranks(variables: Mapping[str, str]) -> None:
    """Check variables that Lightning reads while it is imported.

    Raises:
        UserError: a rank is not a number.
    """
    for name in _READ_ON_IMPORT:
        number(variables, name, 0)


def is_one_of_several(variables: Mapping[str, str]) -> bool:
    """Whether this process may have others to talk to; nothing is refused here."""
    return variables.get("WORLD_SIZE", variables.get("SLURM_STEP_NUM_TASKS", "1")) != "1"


def read(variables: MutableMapping[str, str]) -> Processes:
    """The processes that the variables describe. Variables that torch requires are set where they are missing.

    Raises:
        UserError: a variable is not a number, variables contradict each other, or the address does not exist.
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
        _refuse_address(variables)
    if "RANK" in variables:
        for name, value in (("WORLD_SIZE", size), ("LOCAL_WORLD_SIZE", local_size), ("LOCAL_RANK", local_rank)):
            variables.setdefault(name, str(value))
    return Processes(World(rank, size), local_size, local_rank)


def number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    """A non-negative integer.

    Raises:
        UserError: it is something else, or missing without a default.
    """
    value = text(variables, name, None if default is None else str(default))
    if not re.fullmatch(r"[0-9]{1,10}", value):
        raise UserError(f"the environment variable {name} is {value!r}, which is not a whole number; {_WAY_OUT}")
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


def _refuse_address(variables: Mapping[str, str]) -> None:
    """Refuse an address that does not exist: torch would try to connect until its time-out."""
    host, port = text(variables, "MASTER_ADDR"), number(variables, "MASTER_PORT")
    if not 1 <= port <= 65535:
        raise UserError(f"MASTER_PORT={port} is not a port: it must lie between 1 and 65535")
    last = time.monotonic() + RESOLVE_TIMEOUT_S
    while (reason := _unresolved(host, port)) is not None:
        if reason[1] or time.monotonic() > last:
            raise UserError(f"MASTER_ADDR={host}: no such machine ({reason[0]}); it must be the name or address of the first one")
        time.sleep(0.5)


def _unresolved(host: str, port: int) -> tuple[str, bool] | None:
    """(reason, whether it is final) why a host name cannot be resolved; a malformed name never can. None if it can."""
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        return str(error.strerror), False
    except ValueError as error:
        return str(error), True
    return None
