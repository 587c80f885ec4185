"""Training rows: the decoded and checked rows of a buffer.

Only training events are kept: with window=last the final max_len + 1 of each user, with window=random all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix, mix_arrays
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.stream.order.draws import ALL_LANES, Buffer, Draws
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.damage import DamagedRowGroup
from ltrec.data.stream.quarantine.quarantine import Place, Quarantine
from ltrec.data.stream.quarantine.replacement import candidates, rows_instead
from ltrec.data.stream.reading.blocks import I64, Blocks
from ltrec.data.stream.reading.kept_rows import KeptRows
from ltrec.data.stream.reading.lru_cache import LruCache
from ltrec.data.stream.reading.projected import NO_COLUMNS, Projected
from ltrec.data.stream.reading.row_checks import fault_of_values
from ltrec.data.stream.reading.rows import UserRows, int_column, key_columns, list_column
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.stream.runs.loose_rows import LooseRows
from ltrec.data.stream.runs.packing import Packing

COLUMNS = [c.USER_KEY, c.STRATUM, c.TRAIN_EVENTS, c.ITEMS]
_BUFFERS_KEPT = 2  # per lane: the one in use and the next


@dataclass(frozen=True, slots=True)
class _Lost:
    """Rows low:high of a buffer, which are those from `first` on of a damaged row group."""

    low: int
    high: int
    shard: int
    group: int
    first: int

    @property
    def places(self) -> I64:
        """Their numbers in the row group."""
        return np.arange(self.first, self.first + self.high - self.low)

    def among(self, rows: I64) -> I64:
        """Which of these rows of the buffer they are."""
        return np.flatnonzero((rows >= self.low) & (rows < self.high))


@dataclass(frozen=True, slots=True)
class BufferRows:
    """The rows of a buffer, those of damaged row groups among them: in a lane's buffer others are in their places; a resident pool
    has empty rows there, and others of the pool are drawn instead, in every epoch others.

    A lane's rows are in the order of drawing, but numbers in `lost` are of before; a resident pool's are in the order of the plan.
    """

    rows: UserRows
    lost: tuple[_Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """The rows of a draw.

    Attributes:
        rows: the rows, in the order of drawing.
        replaced: which of the draw replace rows of each damaged row group.
    """

    rows: LooseRows
    replaced: Mapping[Place, I64] = field(default_factory=dict)


class TrainingRows:
    """The rows of every buffer of the plan; the two most recent buffers of each lane stay in memory, or, where that is no more, all
    rows that the lanes read.

    Args:
        folder: the data set.
        manifest: its manifest.
        plan: the order.
        check: `hash` or `size`, how a shard is verified when it is first opened.
        columns: what is read besides items.
        quarantine: what is known to be damaged, in whose places other rows are given, buffer by buffer; None = damage is an error.
        lanes: those of the process; None = rows are not drawn.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        plan: Plan,
        check: str = "hash",
        columns: Projected = NO_COLUMNS,
        quarantine: Quarantine | None = None,
        lanes: range | None = None,
    ) -> None:
        self._files = ShardReader(folder, manifest, check, quarantine)
        self._manifest, self._plan, self._columns, self._quarantine = manifest, plan, columns, quarantine
        self._stratum = np.array([shard.stratum for shard in manifest.shards], np.int64)
        self.of: LruCache[Buffer, BufferRows] = LruCache(
            self._decode, keep=_BUFFERS_KEPT, group=lambda buffer: (buffer.pool, buffer.lane)
        )
        self.kept: dict[int, KeptRows] = {}
        if lanes is not None and quarantine is None:
            kept = [pool for pool in range(len(plan.pools)) if plan.keeps(pool, len(lanes))]
            self.kept = {pool: KeptRows(plan, pool, lanes, lambda blocks: self._packed(blocks).rows) for pool in kept}
        self._instead: LruCache[tuple[Buffer, int], I64] = LruCache(self._healthy, keep=2, group=lambda key: key[0])

    @property
    def downloads(self) -> int:
        """Shards to get at the same time ahead of their use; 0 = they are here."""
        return self._files.downloads

    def get(self, shard: int) -> None:
        """Have a shard on this node before its rows are read."""
        self._files.get(shard)

    def shards_of(self, buffer: Buffer) -> list[int]:
        """The shards of a buffer's rows, in the order in which they are read."""
        return list(dict.fromkeys(self._plan.pieces(buffer).blocks.shard.tolist()))

    def read_ahead(self, buffer: Buffer) -> None:
        """Have the rows of a buffer in memory."""
        if buffer.pool in self.kept:
            self.kept[buffer.pool].places(buffer)
        else:
            self.of(buffer)

    def drawn(self, draw: Draws) -> Drawn:
        """The rows of a draw.

        Raises:
            UserError: a shard is missing or damaged.
        """
        if (kept := self.kept.get(draw.buffer.pool)) and (places := kept.places(draw.buffer)) is not None:
            return Drawn(LooseRows.chosen(kept.rows, places[draw.first : draw.first + draw.rows.size]))
        held = self.of(draw.buffer)
        replaced = {(lost.shard, lost.group): lost.among(draw.rows) for lost in held.lost}
        if draw.buffer.lane != ALL_LANES:
            return Drawn(LooseRows.neighbours(held.rows, draw.first, draw.first + draw.rows.size), replaced)
        rows = self._instead((draw.buffer, draw.epoch))[draw.rows] if held.lost else draw.rows
        return Drawn(LooseRows.chosen(held.rows, rows), replaced)

    def block(self, shard: int, group: int) -> UserRows:
        """The rows of one row group, read again.

        Raises:
            DamagedRowGroup: its bytes are not those that were written.
        """
        return self._block(shard, group).packed()

    def _block(self, shard: int, group: int) -> LooseRows:
        """The rows of a row group among events that are not trained on."""
        table = self._files.read(shard, group, [*COLUMNS, *self._columns.names])
        values, offsets = list_column(table, c.ITEMS)
        train_events, users = int_column(table, c.TRAIN_EVENTS), key_columns(table)
        if fault := fault_of_values(values, offsets, users[c.STRATUM], train_events, self._manifest, shard):
            raise self._files.damage(shard, group, fault, "values")
        try:
            events, own = self._columns.decode(table, offsets)
        except ValueError as error:
            raise self._files.damage(shard, group, str(error), "columns") from None
        ends = offsets[:-1] + train_events
        starts = np.maximum(ends - self._plan.max_len - 1, offsets[:-1]) if self._plan.window == "last" else offsets[:-1]
        return LooseRows(starts, ends, {c.ITEMS: values, **events}, {**users, **own})

    def _decode(self, buffer: Buffer) -> BufferRows:
        pieces = self._plan.pieces(buffer)
        if buffer.lane == ALL_LANES:
            return self._packed(pieces.blocks)
        every = zip(*(a.tolist() for a in (pieces.blocks.shard, pieces.blocks.group, pieces.low, pieces.high)), strict=True)
        parts: list[LooseRows] = []
        lost, at = [], 0
        for shard, group, low, high in every:
            part = self._block_or_none(shard, group, by_all=False)
            if part is None:
                lost.append(_Lost(at, at + high - low, shard, group, low))
                parts.append(self._other_rows(buffer, lost[-1]))
            else:
                part = part if high - low == part.starts.size else part.slice(low, high)
                parts.append(part if pieces.low.size == 1 else part.trimmed())
            at += high - low
        rows = LooseRows.concatenate(parts)
        return BufferRows(rows.packed(self._plan.shuffled(buffer)), tuple(lost))

    def _packed(self, blocks: Blocks) -> BufferRows:
        """All rows of these blocks, without those of damaged row groups."""
        rows, events = int(blocks.rows.sum()), sum(self._manifest.shards[n].events for n in set(blocks.shard.tolist()))
        most = min(events, rows * (self._plan.max_len + 1)) if self._plan.window == "last" else events
        packing, lost, at = Packing(rows, most), [], 0
        for shard, group, count in zip(*(a.tolist() for a in (blocks.shard, blocks.group, blocks.rows)), strict=True):
            if (part := self._block_or_none(shard, group, by_all=True)) is not None:
                packing.add(part)
            else:
                packing.skip(count)
                lost.append(_Lost(at, at + count, shard, group, 0))
            at += count
        if packing.is_empty:
            raise self._none_left(lost[0])
        return BufferRows(packing.rows(), tuple(lost))

    def _block_or_none(self, shard: int, group: int, *, by_all: bool) -> LooseRows | None:
        """A row group, None if it is damaged and there is a quarantine."""
        try:
            return self._block(shard, group)
        except DamagedRowGroup as damage:
            if self._quarantine is None:
                raise
            self._quarantine.add(damage, by_all=by_all)
            return None

    def _other_rows(self, buffer: Buffer, lost: _Lost) -> LooseRows:
        """Rows for lost ones of a lane's buffer, read from the first row group that is healthy."""
        blocks = self._plan.pools[buffer.pool].blocks
        for number in self._candidates(buffer.pool, buffer.epoch, lost):
            rows = self._block_or_none(int(blocks.shard[number]), int(blocks.group[number]), by_all=False)
            if rows is not None:
                return rows.taken(self._chosen(buffer.pool, buffer.epoch, lost, int(blocks.rows[number])))
        raise self._none_left(lost)

    def _healthy(self, key: tuple[Buffer, int]) -> I64:
        """For every row of a resident pool, which row is given for it in an epoch [R]."""
        buffer, epoch = key
        blocks, lost = self._plan.pools[buffer.pool].blocks, self.of(buffer).lost
        damaged, starts = {(one.shard, one.group) for one in lost}, blocks.starts
        rows = np.arange(int(starts[-1]))
        for one in lost:
            for number in self._candidates(buffer.pool, epoch, one):
                if (int(blocks.shard[number]), int(blocks.group[number])) not in damaged:
                    rows[one.low : one.high] = starts[number] + self._chosen(buffer.pool, epoch, one, int(blocks.rows[number]))
                    break
            else:
                raise self._none_left(one)
        return rows

    def _candidates(self, pool: int, epoch: int, lost: _Lost) -> Iterator[int]:
        return candidates(self._plan.pools[pool].blocks, self._stratum, self._plan.seed, pool, epoch, lost.shard, lost.group)

    def _chosen(self, pool: int, epoch: int, lost: _Lost, rows: int) -> I64:
        return rows_instead(lost.places, self._plan.seed, pool, epoch, lost.shard, lost.group, rows)

    def _none_left(self, lost: _Lost) -> UserError:
        stratum = self._manifest.shards[lost.shard].stratum
        return UserError(f"no row group of stratum {stratum} is undamaged, so that none can take another's place; {MEND}")


def window_starts(events: I64, user_key: I64, *, max_len: int, seed: int, steps: Sequence[int]) -> I64:
    """Where each row's random window of at most max_len + 1 events begins [S, B]: uniform over the possible starts, a function of
    (seed, step, user_key).

    Args:
        events: training events in memory per row [S, B].
        user_key: [S, B].
        max_len: L.
        seed: of the order.
        steps: the steps of the rows [S].
    """
    starts = np.maximum(events - max_len, 1).astype(np.uint64)
    return (mix_arrays([mix(seed, step) for step in steps], user_key) % starts).astype(np.int64)
