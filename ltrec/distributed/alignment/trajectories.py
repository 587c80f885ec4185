"""How many trajectories of alignment a step has; `tasks.py` says what they are. Arithmetic on settings alone."""

from __future__ import annotations

import math

from ltrec.core.errors import UserError
from ltrec.distributed.alignment.config import AlignmentConfig


def num_trajectories(alignment: AlignmentConfig, *, batch_rows: int, processes: int, micro_batches: int = 1, lanes: int = 1) -> int:
    """M, trajectories per step over all processes and micro-batches.

    Args:
        alignment: options, as configured.
        batch_rows: G, rows per step.
        processes: W.
        micro_batches: A.
        lanes: of which G is a multiple, for the way out.

    Raises:
        UserError: rows, tasks, trajectories and processes do not go into each other; the message names numbers that do.
    """
    by_user = alignment.tasks == "user"
    steps, parts = alignment.inner_steps if by_user else 1, processes * micro_batches
    wanted = alignment.trajectories or (max(1, batch_rows // steps) if by_user else 1)
    if wanted % parts == 0 and batch_rows % (wanted * steps) == 0:
        return wanted
    fits = [m for m in range(parts, batch_rows // steps + 1, parts) if batch_rows % (m * steps) == 0]
    ways = [f"`trajectories`={_listed(sorted(sorted(fits, key=lambda m: abs(m - wanted))[:3]))}"] if fits else []
    if by_user and not alignment.trajectories:
        ways += [f"`batch_rows`={_around(batch_rows, math.lcm(steps * parts, lanes))}"]
    elif wanted % parts == 0:
        ways += [f"`batch_rows`={_around(batch_rows, math.lcm(steps * wanted, lanes))}"]
    elif not fits:
        ways += [f"`trajectories`={parts} with `batch_rows`={_around(batch_rows, math.lcm(steps * parts, lanes))}"]
    raise UserError(
        f"`batch_rows`={batch_rows} cannot be distributed over `trajectories`={alignment.trajectories}"
        f"{'' if alignment.trajectories else f' ({wanted})'}"
        f"{f' x `inner_steps`={steps} tasks' if by_user else ' of strata'} over {processes} processes x "
        f"`accumulate`={micro_batches}; use {', or '.join(ways)}"
    )


def _listed(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))


def _around(number: int, multiple: int) -> str:
    """The multiples next to a number."""
    below = number // multiple * multiple
    return _listed([n for n in (below, below + multiple) if n and n != number])
