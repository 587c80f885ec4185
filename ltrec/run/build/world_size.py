"""Which numbers of processes a run can be trained by; known from its settings alone."""

from __future__ import annotations

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.distributed.alignment.trajectories import num_trajectories
from ltrec.distributed.gradients_config import AlignedConfig


def check_world(config: RunConfig, size: int) -> None:
    """Refuse a world size that cannot share the lanes, the rows or the trajectories of alignment, before anything is built.

    Raises:
        UserError: naming the sizes that can.
    """
    World(0, size).share(config.stream.lanes, "lanes (stream.lanes)")
    if config.stream.batch_rows % (size * config.trainer.accumulate):
        raise UserError(
            f"stream.batch_rows={config.stream.batch_rows} does not split into {size} processes x "
            f"{config.trainer.accumulate} micro-batches (trainer.accumulate)"
        )
    if isinstance(config.gradients, AlignedConfig):
        num_trajectories(
            config.gradients,
            batch_rows=config.stream.batch_rows,
            processes=size,
            micro_batches=config.trainer.accumulate,
            lanes=config.stream.lanes,
        )
