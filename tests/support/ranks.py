"""What torchrun tells its processes, for processes that were started otherwise."""

import os


def act_as_rank(rank, world_size):
    """Set the environment of one rank of one machine; the process group is there already."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        GROUP_RANK="0",
        WORLD_SIZE=str(world_size),
        LOCAL_WORLD_SIZE=str(world_size),
        TORCHELASTIC_RUN_ID="test",
        MASTER_ADDR="localhost",
        MASTER_PORT="1",
    )
