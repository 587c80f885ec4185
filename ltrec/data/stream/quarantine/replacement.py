"""Which row takes the place of a row in a damaged row group: a pure function of (seed, pool, epoch, shard, row group, position).

The row groups of the same stratum and pool, in file order, are permuted anew for every damaged row group and epoch; the first
healthy one gives its rows, permuted too, and from its beginning again where it has fewer. So every process, at every number of
them, after every resume, chooses the same row, and all healthy users of a stratum are as likely to be chosen.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ltrec.core.hashing import mix, permutation
from ltrec.data.stream.reading.blocks import I64, Blocks

_GROUPS, _ROWS = 0x51474252, 0x51524F57  # distinguish these hashes from those for other purposes


def candidates(blocks: Blocks, stratum_of_shard: I64, seed: int, pool: int, epoch: int, shard: int, group: int) -> Iterator[int]:
    """Numbers of the blocks that may take the place of a row group, the first choice first.

    Args:
        blocks: all of the pool.
        stratum_of_shard: of every shard of the data set.
        seed: of the order.
        pool: number of the pool.
        epoch: of the pool.
        shard: of the damaged row group.
        group: its number.
    """
    others = (blocks.shard != shard) | (blocks.group != group)
    same = np.flatnonzero((stratum_of_shard[blocks.shard] == stratum_of_shard[shard]) & others)
    same = same[np.lexsort((blocks.group[same], blocks.shard[same]))]
    yield from same[permutation(mix(seed, _GROUPS, pool, epoch, shard, group), same.size)].tolist()


def rows_instead(places: I64, seed: int, pool: int, epoch: int, shard: int, group: int, rows: int) -> I64:
    """Rows of the chosen block, which has so many `rows`, for these places of the damaged row group."""
    return permutation(mix(seed, _ROWS, pool, epoch, shard, group), rows)[places % rows]
