"""Groups the sorted events into blocks of users. Memory holds one block's events plus one batch, however long a user's history is.

The rows of users say how many events each has, and the rows of events must be exactly those runs in that order. Every batch is
checked against it (the user's place with every event; times never decrease), so a wrong sort or count of the engine is detected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.data.prepare.sorting.parts import Layout, SortedRows, StratumPart

Ints = npt.NDArray[np.int64]
PIECE_USERS, PIECE_EVENTS = 1 << 14, 1 << 20
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class UserBlock:
    """Users of one part, with their stored events.

    Attributes:
        part: number of the part in the layout.
        users: table of B users, as in the sorted rows.
        offsets: int64 [B+1]; user b owns events offsets[b]:offsets[b+1].
        codes: item codes [N].
        times: seconds [N].
        values: requested event columns by field: codes or stored values, [N] each.
    """

    part: int
    users: pa.Table
    offsets: Ints
    codes: npt.NDArray[np.int32]
    times: Ints
    values: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def trained(self) -> npt.NDArray[np.bool_]:
        """Which events may be trained on [N]."""
        lengths = np.diff(self.offsets)
        index = np.arange(len(self.codes)) - np.repeat(self.offsets[:-1], lengths)
        return np.asarray(index < np.repeat(self.users["train_events"].to_numpy(), lengths))


def blocks(layout: Layout, block_rows: int, columns: Sequence[str] = ()) -> Iterator[UserBlock]:
    """All blocks, part by part; every block but the last of a part has exactly `block_rows` users.

    Args:
        layout: the sorted rows.
        block_rows: users of a block.
        columns: fields of event columns to read.

    Raises:
        RuntimeError: they are not sorted, or their users differ; a bug in the sort, never caused by the input.
    """
    named = ("place", "code", "seconds", *columns)
    with _batches(layout.users, PIECE_USERS) as user_batches, _batches(layout.events, PIECE_EVENTS, named) as event_batches:
        users, events = Users(user_batches), EventReader(event_batches, named)
        place = layout.first_place
        for number, part in enumerate(layout.parts, layout.first_part):
            last_key = None
            for start in range(0, part.rows, block_rows):
                table = users.take(min(block_rows, part.rows - start))
                last_key = _check(table, part, last_key)
                yield _block(number, table, place, events)
                place += table.num_rows
        if not (users.finished() and events.finished()):
            raise RuntimeError("there are more sorted rows than were counted")


@contextmanager
def _batches(rows: SortedRows, size: int, columns: Sequence[str] | None = None) -> Iterator[Batches]:
    """Batches of at most `size` rows, of these columns or all."""
    if isinstance(rows, pa.Table):
        yield iter((rows if columns is None else rows.select(columns)).to_batches(size))
        return
    with pq.ParquetFile(rows, pre_buffer=False) as file:
        yield file.iter_batches(size, columns=columns, use_threads=False)


class Users:
    """Users in slices of any size."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.waiting: list[pa.RecordBatch] = []

    def take(self, rows: int) -> pa.Table:
        """The next `rows` rows."""
        while sum(b.num_rows for b in self.waiting) < rows:
            self.waiting.append(next(self.batches))
        table = pa.Table.from_batches(self.waiting)
        self.waiting = table.slice(rows).to_batches()
        return table.slice(0, rows).combine_chunks()

    def finished(self) -> bool:
        """Whether all rows have been read."""
        return not any(b.num_rows for b in self.waiting) and next(self.batches, None) is None


class EventReader:
    """Events as numpy pieces (place, code, time, columns) of bounded size."""

    def __init__(self, batches: Batches, columns: Sequence[str]) -> None:
        self.batches, self.columns = batches, columns
        self.waiting = pa.RecordBatch.from_pydict({name: [] for name in self.columns})

    def take(self, count: int) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        """The next `count` events, in pieces."""
        while count:
            if self.waiting.num_rows == 0:
                self.waiting = next(self.batches)
            piece, self.waiting = self.waiting.slice(0, count), self.waiting.slice(count)
            count -= piece.num_rows
            yield tuple(piece[name].to_numpy(zero_copy_only=True) for name in self.columns)

    def finished(self) -> bool:
        """Whether all events have been read."""
        return self.waiting.num_rows == 0 and next(self.batches, None) is None


def _check(table: pa.Table, part: StratumPart, last_key: int | None) -> int:
    """Check that keys increase strictly, also from block to block: this makes users unique within a part."""
    keys = table["user_key"].to_numpy()
    if (keys[1:] <= keys[:-1]).any() or (last_key is not None and keys[0] <= last_key):
        raise RuntimeError("the sort returned users out of order")
    if (table["stratum"].to_numpy() != part.stratum).any() or (table["trainable"].to_numpy() != part.trainable).any():
        raise RuntimeError("the sort returned users in the wrong part")
    return int(keys[-1])


def _block(number: int, table: pa.Table, place: int, events: EventReader) -> UserBlock:
    count, first, last = (table[name].to_numpy() for name in ("count", "first", "last"))
    ends = np.cumsum(count)
    kept, position, previous = list[list[npt.NDArray[Any]]](), 0, (-1, 0)
    whole = not first.any() and bool((last == count).all())
    for places, *piece in events.take(int(ends[-1])):
        user = _users_of(ends, position, position + len(places))
        piece_time = piece[1]
        down = np.flatnonzero(piece_time[1:] < piece_time[:-1])
        falls = user[down] == user[down + 1]
        if (user + place != places).any() or falls.any() or (previous[0] == user[0] and piece_time[0] < previous[1]):
            raise RuntimeError("the sort returned events out of order")
        previous = (int(user[-1]), int(piece_time[-1]))
        if not whole:
            index = np.arange(position, position + len(places)) - (ends - count)[user]
            stored = (index >= first[user]) & (index < last[user])
            piece = [values[stored] for values in piece]
        kept.append(piece)
        position += len(places)
    offsets = np.concatenate([[0], np.cumsum(last - first)])
    codes, times, *values = (np.concatenate(pieces) for pieces in zip(*kept, strict=True))
    return UserBlock(number, table, offsets, codes, times, dict(zip(events.columns[3:], values, strict=True)))


def _users_of(ends: Ints, start: int, stop: int) -> Ints:
    """Number of the user of every event from `start` to `stop`, where user b's events end at ends[b]."""
    low, high = np.searchsorted(ends, (start, stop - 1), side="right")
    numbers = np.arange(low, high + 1)
    lengths = np.diff(np.minimum(ends[low : high + 1], stop), prepend=start)
    return np.repeat(numbers, lengths)
