"""Options of parallelism."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from ltrec.core.bounds import INT32, Between, check_fields

Parallelism = Literal["auto", "ddp", "fsdp2", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_3"]
PARALLELISM: tuple[Parallelism, ...] = get_args(Parallelism)


@dataclass(frozen=True, slots=True)
class StrategyConfig:
    """How the processes of a run share the work. `gradients` determines what the gradients are."""

    name: Parallelism = "auto"
    """auto: one device alone, DDP among several processes. ddp: replicated parameters. fsdp2, deepspeed_stage_1, _2, _3: sharded
    ones; not for joint or aligned gradients."""
    check_every_steps: Annotated[int, Between(0, INT32)] = 0
    """For debugging: compare parameters, weights and counts across ranks every n steps and stop at a difference; 0 = never."""

    def __post_init__(self) -> None:
        check_fields(self)
