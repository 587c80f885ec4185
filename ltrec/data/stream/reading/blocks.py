"""Blocks: the row groups of the shards, the smallest unit that is read. Computed from the manifest alone.

A block has exactly `manifest.block_rows` rows; the last one of a shard may have fewer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core.hashing import mix, mix_array
from ltrec.core.ragged import prefix_sums
from ltrec.data.manifest import Manifest

I64 = npt.NDArray[np.int64]

_SHUFFLE = 0x4445414C  # distinguishes these hashes from those for other purposes


@dataclass(frozen=True, slots=True)
class Blocks:
    """N blocks in some order: number of the shard in the manifest, row group within it, number of rows; all int64 [N]."""

    shard: I64
    group: I64
    rows: I64

    @property
    def count(self) -> int:
        """N."""
        return self.rows.size

    @property
    def starts(self) -> I64:
        """Rows before each block, and the total: [N+1]."""
        return prefix_sums(self.rows)

    def take(self, order: I64) -> Blocks:
        """The blocks with these numbers, in this order."""
        return Blocks(self.shard[order], self.group[order], self.rows[order])


def blocks_of(manifest: Manifest, shards: Iterable[int]) -> Blocks:
    """All blocks of the shards with these numbers, in file order."""
    shard, group, rows = [], [], []
    for number in shards:
        total, size = manifest.shards[number].rows, manifest.block_rows
        groups = np.arange(-(-total // size))
        shard.append(np.full(groups.size, number))
        group.append(groups)
        rows.append(np.minimum(size, total - groups * size))
    if not shard:
        shard = group = rows = [np.zeros(0, np.int64)]
    return Blocks(*(np.concatenate(column).astype(np.int64) for column in (shard, group, rows)))


def shuffle_blocks(blocks: Blocks, manifest: Manifest, seed: int) -> Blocks:
    """Order the blocks so that any contiguous range holds all strata in proportion, and comes from few shards.

    Within a stratum the shards are shuffled, with their blocks kept together; then the strata are merged by the share of their own
    rows that precede a block. Lanes are contiguous ranges of this order, so every lane, and every process, gets the same mix of
    short and long users and opens few files.
    """
    stratum_of_shard = np.array([s.stratum for s in manifest.shards], np.int64)
    stratum = stratum_of_shard[blocks.shard]
    shuffled = np.lexsort((blocks.group, blocks.shard, mix_array(mix(seed, _SHUFFLE), blocks.shard), stratum))
    blocks, stratum = blocks.take(shuffled), stratum[shuffled]
    position = np.empty(blocks.count, np.float64)
    for z in np.unique(stratum):
        mine = stratum == z
        starts = prefix_sums(blocks.rows[mine])
        position[mine] = (starts[:-1] + starts[1:]) / (2 * starts[-1])
    return blocks.take(np.lexsort((stratum, position)))
