"""Refuses numbers of processes that cannot train a run, before they start or wait in a queue."""

from __future__ import annotations

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.run.build.world_size import check_world


def check_processes(run: RunConfig, processes: int, *, requested: bool) -> None:
    """Refuse a number of processes that cannot train a run, before they start or wait in a queue.

    Args:
        run: the run.
        processes: on all nodes.
        requested: whether the user gave the number; else it is that of the GPUs.

    Raises:
        UserError: naming the run and the numbers that work.
    """
    try:
        check_world(run, processes)
    except UserError as error:
        raise UserError(
            f"{run.name}: {error}{'' if requested else '; --processes sets another number than that of the GPUs'}"
        ) from None
