"""Data sets of any size for the stream, written straight through prepare's shard writer, a block at a time.

Every block holds the same lengths of histories in another order, so that only the number of blocks varies with the size: stored
events of a user are 2 and a lognormal number, median 6 and mean 10. A million events take about a second, whatever the size.
"""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.hashing import mix_array
from ltrec.core.storage.atomic import rename_by_hash
from ltrec.core.strata import Strata
from ltrec.data.manifest import Manifest, Vocab
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.shards import write_shards
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.prepare.sorting.parts import Cut, StratumPart
from ltrec.data.schema import VOCAB_SCHEMA

ITEMS = 20_000
MEDIAN, SPREAD, LEAST, MOST = 6.0, 1.03, 2, 1_000
"""Of training events: of the lognormal, and where it is cut."""
_BEGIN_S = 1_600_000_000


def lengths_of_block(users: int) -> npt.NDArray[np.int64]:
    """Training events of the users of a block, ascending."""
    normal = NormalDist(np.log(MEDIAN), SPREAD)
    lengths = np.exp([normal.inv_cdf((place + 0.5) / users) for place in range(users)])
    return np.clip(np.rint(lengths), LEAST, MOST).astype(np.int64)


def write_data(folder: Path, events: int, block_rows: int, shard_blocks: int, lanes: int) -> Manifest:
    """A data set of about so many events in one stratum: whole blocks, as many for every lane.

    Args:
        folder: to write to.
        events: wanted.
        block_rows: users of a block.
        shard_blocks: blocks of a shard.
        lanes: of the stream that will read it.
    """
    lengths = lengths_of_block(block_rows)
    stored = int(lengths.sum()) + 2 * lengths.size
    cut = Cut(block_rows, shard_blocks * stored)
    blocks = lanes * max(1, round(events / (lanes * stored)))
    part = StratumPart(0, trainable=True, rows=blocks * lengths.size, events=blocks * stored)
    form = RowForm(np.arange(ITEMS + 1, dtype=np.int32))
    made = (_block(number, lengths) for number in range(blocks))
    shards = write_shards(made, (part,), form, folder, cut, lambda _: None)
    strata = Strata((LEAST,), (part.rows,), (part.events,), LEAST)
    manifest = Manifest("stream", {}, {}, {}, {"kind": "leave_one_out"}, {}, strata, _vocabulary(folder), cut.block_rows, shards)
    manifest.save(folder)
    return manifest


def _block(number: int, lengths: npt.NDArray[np.int64]) -> UserBlock:
    draw = np.random.default_rng(number)
    trained = draw.permutation(lengths)
    offsets = np.concatenate([[0], np.cumsum(trained + 2)])
    count = int(offsets[-1])
    within = np.arange(count) - np.repeat(offsets[:-1], trained + 2)
    arrival, gap = draw.integers(_BEGIN_S, _BEGIN_S + 10_000_000, trained.size), draw.integers(1, 10_000, trained.size)
    times = np.repeat(arrival, trained + 2) + within * np.repeat(gap, trained + 2)
    codes = (1 + ITEMS * draw.random(count) ** 3).astype(np.int32)
    return UserBlock(0, _users(number * lengths.size, trained), offsets, codes, times)


def _users(first: int, trained: npt.NDArray[np.int64]) -> pa.Table:
    numbers = np.arange(first, first + trained.size)
    return pa.table(
        {
            c.USER_ID: pc.cast(pa.array(numbers), pa.string()),
            c.USER_KEY: mix_array(0, numbers).view(np.int64),
            c.STRATUM: np.zeros(trained.size, np.int8),
            c.ACTIVITY: trained.astype(np.int32),
            c.TRAIN_EVENTS: trained.astype(np.int32),
            c.VALID_AT: trained.astype(np.int32),
            c.TEST_AT: (trained + 1).astype(np.int32),
        }
    )


def _vocabulary(folder: Path) -> Vocab:
    ids = np.arange(1, ITEMS + 1)
    (folder / "vocab").mkdir(exist_ok=True)
    path = folder / "vocab" / "items.tmp"
    pq.write_table(pa.table([ids, pc.cast(pa.array(ids), pa.string()), ITEMS - ids], schema=VOCAB_SCHEMA), path)
    final, digest = rename_by_hash(path)
    return Vocab(f"vocab/{final.name}", ITEMS, final.stat().st_size, digest)
