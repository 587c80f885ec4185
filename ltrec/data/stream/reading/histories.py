"""Histories: every user of a split once, in fixed chunks, for evaluation and prediction.

Chunk i holds rows i*C .. (i+1)*C of the users with a history, in file order (shards by path), for any number of processes:
chunks are distributed over ranks, never split between them. Users without any history before their target (cold) come in separate
chunks.

The plugins that serve a user are those of the stratum of the uncropped history's length: a user with more events than in training
counts as more active, and a user without training events counts by their history. A stratum that was not trained has no trained
plugin; those of another stratum serve it. Reports use the stratum that a user had in training; a chunk holds both.

    split   history                target       users
    valid   items[:valid_at]       items[at]    those with a validation target
    test    items[:test_at]        items[at]    those with a test target
    all     all stored items       0            everyone: for prediction
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ltrec.columns.schema import ITEMS_ONLY, Projection
from ltrec.core import columns as c
from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError, nearest
from ltrec.core.ragged import prefix_sums, ragged
from ltrec.core.strata import Strata
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.stream.quarantine.damage import DamagedRowGroup
from ltrec.data.stream.quarantine.quarantine import Quarantine
from ltrec.data.stream.reading.blocks import I64, blocks_of
from ltrec.data.stream.reading.history_block import HistoryBlock, known_rows
from ltrec.data.stream.reading.lru_cache import LruCache
from ltrec.data.stream.reading.projected import Projected
from ltrec.data.stream.reading.rows import int_column, joined, list_column, taken
from ltrec.data.stream.reading.shards import ShardReader

T = TypeVar("T")
SPLITS = {"valid": c.VALID_AT, "test": c.TEST_AT, "all": ""}
_BLOCKS_KEPT = 2


@dataclass(frozen=True, slots=True)
class HistoryChunk:
    """B users and their targets.

    Attributes:
        index: number of the chunk; cold chunks are numbered apart.
        batch: histories cropped to their last max_len items, without targets, with the requested columns; its strata are
            the histories'.
        user_id: raw ids.
        stratum_B: int64, the data set's stratum that the user had in training, for reports; -1 = kept out of training.
        activity_B: int64, training events before the history cap.
        history_length_B: int64, length of the untruncated history.
        target_B: int64, the target item; 0 = none (`all`).
        seen_T: int64, all items of the untruncated histories.
        seen_offsets: int64 [B+1], user b has seen_T[seen_offsets[b]:seen_offsets[b+1]].
    """

    index: int
    batch: SequenceBatch
    user_id: list[str]
    stratum_B: Tensor
    activity_B: Tensor
    history_length_B: Tensor
    target_B: Tensor
    seen_T: Tensor
    seen_offsets: Tensor


Score = Callable[[HistoryChunk], Tensor]
"""Users -> scores of all items [B, V+1] (column 0 is ignored). The caller owns the tensor and may overwrite it."""


class SplitHistories:
    """The users of one split.

    Args:
        folder: the prepared data set.
        manifest: its manifest.
        split: `valid`, `test` or `all`.
        max_len: most items of a history that the model is given.
        chunk_rows: C, users per chunk.
        check: `hash` or `size`, how a shard is verified when it is first opened.
        strata: those of the model; None = the data set's.
        heirs: the stratum whose plugins serve each of them (`Strata.heirs`); empty = itself.
        columns: what batches carry besides items.
        quarantine: lets validation go without the users of damaged row groups; None = damage is an error.

    Raises:
        UserError: unknown split or column, or a shard is missing or damaged.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        split: str,
        max_len: int,
        chunk_rows: int = 1024,
        check: str = "hash",
        strata: Strata | None = None,
        heirs: Sequence[int] = (),
        columns: Projection = ITEMS_ONLY,
        quarantine: Quarantine | None = None,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"split {split!r} is not one of {', '.join(SPLITS)}{nearest(split, SPLITS)}")
        if min(max_len, chunk_rows) < 1:
            raise UserError(f"max_len={max_len} and chunk_rows={chunk_rows} must be at least 1")
        self._files, self._quarantine = ShardReader(folder, manifest, check, quarantine), quarantine
        self._columns = Projected.of(manifest, columns, training=False)
        self._manifest, self._at_column = manifest, SPLITS[split]
        self._max_len, self._chunk_rows = max_len, chunk_rows
        self._strata = manifest.strata if strata is None else strata
        self._heirs = np.array(heirs or range(self._strata.count), np.int64)
        self._blocks = blocks_of(manifest, range(len(manifest.shards)))
        self._read: LruCache[int, HistoryBlock] = LruCache(self._decode, keep=_BLOCKS_KEPT)
        self._known = known_rows(manifest, split)
        if self._known is None:
            _ = self._starts

    def __len__(self) -> int:
        """Number of chunks of users with a history."""
        return -(-self.num_rows // self._chunk_rows)

    @property
    def num_rows(self) -> int:
        """Number of users with a history."""
        return int(self._starts[0][-1]) if self._known is None else self._known[0]

    @property
    def num_cold_rows(self) -> int:
        """Number of users with a target and no history before it."""
        return int(self._starts[1][-1]) if self._known is None else self._known[1]

    @property
    def num_cold_chunks(self) -> int:
        """Number of chunks of users without a history."""
        return -(-self.num_cold_rows // self._chunk_rows)

    def strata_and_activity(self) -> tuple[I64, I64]:
        """`stratum_B` and `activity_B` of all chunks, concatenated; reads three columns of every block."""
        found = [np.zeros((2, 0), np.int64)]
        for number in range(self._blocks.count):
            table = self._unless_damaged(partial(self._files.read, *self._place(number), [c.STRATUM, c.ACTIVITY, self._at_column]))
            if table is None:
                continue
            stratum, activity, at = (int_column(table, name) for name in (c.STRATUM, c.ACTIVITY, self._at_column))
            found.append(np.stack([stratum, activity])[:, at > 0])
        stratum, activity = np.concatenate(found, axis=1)
        return stratum, activity

    def chunk(self, index: int) -> HistoryChunk:
        """Chunk `index` of the users with a history."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._join(index, self._parts(index, self._starts[0], cold=False))

    def chunk_if_any(self, index: int) -> HistoryChunk | None:
        """Like `chunk`; None if quarantine leaves nobody in it."""
        parts = self._parts(index, self._starts[0], cold=False)
        return self._join(index, parts) if any(rows.size for _, rows in parts) else None

    def cold_chunk(self, index: int) -> HistoryChunk:
        """Chunk `index` of the users without a history; their sequences are empty."""
        if not 0 <= index < self.num_cold_chunks:
            raise IndexError(index)
        return self._join(index, self._parts(index, self._starts[1], cold=True))

    @cached_property
    def _starts(self) -> tuple[I64, I64]:
        """Users with and without a history before each block, and all of them [blocks + 1]. Reads one column of every block.

        Raises:
            UserError: a shard is damaged, or the manifest counts other users.
        """
        numbers = range(self._blocks.count)
        with ThreadPoolExecutor(max(1, self._files.downloads), thread_name_prefix="ltrec-histories") as pool:
            counts = list(pool.map(self._count, numbers) if self._files.downloads else map(self._count, numbers))
        warm, cold = (prefix_sums(np.array(column, np.int64)) for column in (zip(*counts, strict=True) if counts else ([], [])))
        whole = self._quarantine is None or self._quarantine.is_empty
        if whole and self._known not in (None, (warm[-1], cold[-1])):
            raise UserError(f"{warm[-1]} users have a history and a target, the manifest says {self._known}; {MEND}")
        return warm, cold

    def _parts(self, index: int, starts: I64, *, cold: bool) -> list[tuple[HistoryBlock, I64]]:
        """The blocks of a chunk, and its rows in each."""
        low, high = index * self._chunk_rows, min((index + 1) * self._chunk_rows, int(starts[-1]))
        first, last = int(np.searchsorted(starts, low, side="right")) - 1, int(np.searchsorted(starts, high, side="left"))
        parts = []
        for number in range(first, last):
            if (block := self._unless_damaged(partial(self._read, number))) is None:
                continue
            wanted = np.flatnonzero(block.at == 0 if cold else block.at > 0)
            parts.append((block, wanted[max(low - int(starts[number]), 0) : high - int(starts[number])]))
        return parts

    def _join(self, index: int, parts: list[tuple[HistoryBlock, I64]]) -> HistoryChunk:
        def column(name: str) -> I64:
            values: I64 = np.concatenate([getattr(block, name)[rows] for block, rows in parts])
            return values

        at = column("at")
        seen = np.concatenate([block.items[ragged(block.offsets[rows], block.at[rows])] for block, rows in parts]).astype(np.int64)
        seen_offsets, lengths = prefix_sums(at), np.minimum(at, self._max_len)
        items = seen[ragged(seen_offsets[1:] - lengths, lengths)]
        route = self._heirs[self._strata.serving(at + column("capped"))]
        offsets, stratum, key = (torch.from_numpy(a) for a in (prefix_sums(lengths), route, column("user_key")))
        return HistoryChunk(
            index=index,
            batch=SequenceBatch.of_histories(torch.from_numpy(items), offsets, stratum, key, *self._carried(parts)),
            user_id=[name for block, rows in parts for name in block.user_id.take(pa.array(rows)).to_pylist()],
            stratum_B=torch.from_numpy(column("stratum")),
            activity_B=torch.from_numpy(column("activity")),
            history_length_B=torch.from_numpy(at),
            target_B=torch.from_numpy(np.concatenate([self._targets(block, rows) for block, rows in parts])),
            seen_T=torch.from_numpy(seen),
            seen_offsets=torch.from_numpy(seen_offsets),
        )

    def _carried(self, parts: list[tuple[HistoryBlock, I64]]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Columns of the cropped histories and of their users."""
        events, users = [], []
        for block, rows in parts:
            lengths = np.minimum(block.at[rows], self._max_len)
            events.append(taken(block.events, ragged(block.offsets[rows] + block.at[rows] - lengths, lengths)))
            users.append(taken(block.users, rows))
        found = joined(events) | joined(users)
        return (
            {name: torch.from_numpy(found[place]) for name, place in self._columns.events.items()},
            {name: torch.from_numpy(found[place]) for name, place in self._columns.users.items()},
        )

    def _targets(self, block: HistoryBlock, rows: I64) -> I64:
        if not self._at_column:
            return np.zeros(rows.size, np.int64)
        targets: I64 = block.items[block.offsets[rows] + block.at[rows]].astype(np.int64)
        return targets

    def _count(self, number: int) -> tuple[int, int]:
        """Numbers of users with and without a history in a block. Reads one column; nothing for `all`."""
        if not self._at_column:
            return int(self._blocks.rows[number]), 0
        table = self._unless_damaged(partial(self._files.read, *self._place(number), [self._at_column]))
        if table is None:
            return 0, 0
        at = int_column(table, self._at_column)
        return int((at > 0).sum()), int((at == 0).sum())

    def _unless_damaged(self, read: Callable[[], T]) -> T | None:
        """What is read; None if it is damaged, and validation goes without it."""
        try:
            return read()
        except DamagedRowGroup as damage:
            if self._quarantine is None:
                raise
            self._quarantine.leave_out(damage)
            return None

    def _place(self, number: int) -> tuple[int, int]:
        return int(self._blocks.shard[number]), int(self._blocks.group[number])

    def _decode(self, number: int) -> HistoryBlock:
        place = self._place(number)
        own = [self._at_column] if self._at_column else []
        table = self._files.read(
            *place, [c.USER_ID, c.USER_KEY, c.STRATUM, c.ACTIVITY, c.TRAIN_EVENTS, c.ITEMS, *own, *self._columns.names]
        )
        items, offsets = list_column(table, c.ITEMS)
        lengths = np.diff(offsets)
        at = int_column(table, self._at_column) if self._at_column else lengths
        if (lengths < 1).any() or (at < -1).any() or (at >= lengths + (not self._at_column)).any():
            raise self._files.damage(*place, "an empty sequence, or a target outside it", "values")
        if items.min() < 1 or items.max() > self._manifest.vocab.items:
            outside = f"item ids {items.min()}..{items.max()} outside 1..{self._manifest.vocab.items}"
            raise self._files.damage(*place, outside, "values")
        key, stratum, activity, kept = (int_column(table, name) for name in (c.USER_KEY, c.STRATUM, c.ACTIVITY, c.TRAIN_EVENTS))
        try:
            columns = self._columns.decode(table, offsets)
        except ValueError as error:
            raise self._files.damage(*place, str(error), "columns") from None
        return HistoryBlock(table.column(c.USER_ID).chunk(0), key, stratum, activity, activity - kept, at, items, offsets, *columns)
