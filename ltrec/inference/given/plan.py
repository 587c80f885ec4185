"""The division of rows into chunks of users, and of chunks into shards of the answer, the same for any number of processes.

A chunk is what is scored at once. Process r of W answers the shards r, r + W, ...
"""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.inference.given.files import GivenFiles
from ltrec.inference.given.form import Form
from ltrec.inference.given.grouping import every_nth_user


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """The chunks and shards of a job.

    Attributes:
        starts: first row of every chunk, and the number of rows.
        users: number of users.
        shard_chunks: chunks of a shard; the last one may have fewer.
    """

    starts: tuple[int, ...]
    users: int
    shard_chunks: int

    @property
    def num_chunks(self) -> int:
        """Number of chunks."""
        return len(self.starts) - 1

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return -(-self.num_chunks // self.shard_chunks)

    def chunks_of(self, shard: int) -> range:
        """Chunk numbers of a shard."""
        return range(shard * self.shard_chunks, min((shard + 1) * self.shard_chunks, self.num_chunks))


def plan_of(files: GivenFiles, form: Form, chunk_rows: int, shard_users: int) -> ChunkPlan:
    """Reads the users of events once, and nothing of users with lists.

    Args:
        files: the histories.
        form: their form.
        chunk_rows: users of a chunk.
        shard_users: users of a shard, rounded to chunks.

    Raises:
        UserError: events do not stand together by user.
    """
    if form.lists:
        starts, users = list(range(0, files.num_rows, chunk_rows)), files.num_rows
    else:
        starts, users = every_nth_user(files, form.user, chunk_rows)
    return ChunkPlan((*starts, files.num_rows), users, max(1, shard_users // chunk_rows))
