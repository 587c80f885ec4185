"""Where the parent's users are, and the rows of those who got new events.

Keys of all users are read (8 bytes each), and every row group once: users of a day are spread over all of them. Decoding is cheap:
a hundredth of what it costs to sort and write the same events. Rows of the users of a day are handled many row groups at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.data.manifest import Layer, Manifest, Shard
from ltrec.data.prepare.staging import INSERT_ROWS
from ltrec.data.row_list import read_row_list

_PLACES = [c.ACTIVITY, c.TRAIN_EVENTS, c.ITEMS]
I32 = npt.NDArray[np.int32]


@dataclass(slots=True)
class PartUsers:
    """R users of a part in the order of their keys.

    Attributes:
        stratum, trainable: the part.
        key_R: user keys.
        file_R: number of the file.
        row_R: row there.
        length_R: stored events.
        activity_R: training events before the history cap.
        count_R: events before the history cap. Of held-out users, who have no training events, it is not known how many the cap
            removed: those that are stored count, in quantiles of lengths and the number of capped users.
    """

    stratum: int
    trainable: bool
    key_R: I64
    file_R: I32
    row_R: I64
    length_R: I32
    activity_R: I32
    count_R: I32

    def among(self, key_U: I64) -> npt.NDArray[np.bool_]:
        """Which of them are among sorted keys [R], which are few: these are looked up, not all users."""
        place = np.searchsorted(self.key_R, key_U)
        inside = place < self.key_R.size
        found = np.zeros(self.key_R.size, np.bool_)
        found[place[inside][self.key_R[place[inside]] == key_U[inside]]] = True
        return found

    def take(self, which: npt.NDArray[np.bool_]) -> PartUsers:
        """Some of them."""
        columns: tuple[Any, ...] = (self.key_R, self.file_R, self.row_R, self.length_R, self.activity_R, self.count_R)
        return PartUsers(self.stratum, self.trainable, *(column[which] for column in columns))


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows of users that are looked for: the table in the schema of shards, whether each is trained on, and its events before the
    cap."""

    table: pa.Table
    trainable_R: npt.NDArray[np.bool_]
    count_R: I32

    @staticmethod
    def joined(found: list[OldRows]) -> OldRows:
        """One after the other."""
        table = pa.concat_tables([rows.table for rows in found]).combine_chunks()
        return OldRows(table, *(np.concatenate([getattr(rows, name) for rows in found]) for name in ("trainable_R", "count_R")))


class ParentUsers:
    """All users of a data set.

    Args:
        folder: the data set; its files are known to be whole.
        manifest: its manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.files: list[Layer] = []
        self.parts: dict[tuple[int, bool], PartUsers] = {}
        self._folder, self._manifest = folder, manifest
        numbers: dict[str, int] = {}
        for part in sorted({(shard.stratum, shard.trainable) for shard in manifest.shards}):
            shards = [shard for shard in manifest.shards if (shard.stratum, shard.trainable) == part]
            self.parts[part] = self._located(part, shards, numbers)

    def rows_of(self, key_U: I64, *, names: bool = True) -> Iterator[OldRows]:
        """Rows of these users (sorted keys), those of several row groups at a time, with or without the users' `names`; afterwards
        the parts know the lengths of all users."""
        found, events = list[OldRows](), 0
        for part in self.parts.values():
            wanted_R = part.among(key_U)
            for file in _numbers_in(part.file_R):
                for rows in self._of_file(part, file, wanted_R, names=names):
                    found.append(rows)
                    events += int(rows.count_R.sum())
                    if events >= INSERT_ROWS:
                        yield OldRows.joined(found)
                        found, events = [], 0
        if found:
            yield OldRows.joined(found)

    def keys(self) -> I64:
        """Keys of all users, sorted."""
        return np.sort(np.concatenate([part.key_R for part in self.parts.values()]))

    def others(self, key_U: I64) -> list[PartUsers]:
        """All users but these (sorted keys)."""
        return [part.take(~part.among(key_U)) for part in self.parts.values()]

    def _located(self, part: tuple[int, bool], shards: list[Shard], numbers: dict[str, int]) -> PartUsers:
        places = [self._places(shard, numbers) for shard in shards]
        file_R, row_R = (np.concatenate(column) for column in zip(*places, strict=True))
        key_R = np.empty(row_R.size, np.int64)
        for file in _numbers_in(file_R):
            with pq.ParquetFile(self._folder / self.files[file].path, pre_buffer=False) as opened:
                keys = opened.read([c.USER_KEY], use_threads=False)[c.USER_KEY].to_numpy()
            own = file_R == file
            key_R[own] = keys[row_R[own]]
        if (key_R[1:] < key_R[:-1]).any():  # the paths of 100,000 shards are not in the order of their numbers
            order = np.argsort(key_R)
            key_R, file_R, row_R = key_R[order], file_R[order], row_R[order]
        empty = [np.zeros(row_R.size, np.int32) for _ in range(3)]
        return PartUsers(*part, key_R, file_R.astype(np.int32), row_R, *empty)

    def _places(self, shard: Shard, numbers: dict[str, int]) -> tuple[I64, I64]:
        """File and row of every user of a shard."""
        if not shard.layers:
            own = Layer(shard.path, shard.bytes, shard.sha256, shard.rows, self._manifest.block_rows)
            return np.full(shard.rows, self._number(own, numbers)), np.arange(shard.rows)
        layer_R, row_R = read_row_list(self._folder / shard.path, shard, self._manifest).expanded()
        of_layer = [self._number(self._manifest.layers[number], numbers) for number in shard.layers]
        return np.array(of_layer, np.int64)[layer_R], row_R

    def _number(self, file: Layer, numbers: dict[str, int]) -> int:
        if file.path not in numbers:
            numbers[file.path] = len(self.files)
            self.files.append(file)
        return numbers[file.path]

    def _of_file(self, part: PartUsers, file: int, wanted_R: npt.NDArray[np.bool_], *, names: bool) -> Iterator[OldRows]:
        size, own = self.files[file].block_rows, np.flatnonzero(part.file_R == file)
        group_n = part.row_R[own] // size
        edges = np.searchsorted(group_n, np.arange(-(-self.files[file].rows // size) + 1))
        with pq.ParquetFile(self._folder / self.files[file].path, page_checksum_verification=True, pre_buffer=False) as opened:
            fields = [name for name in opened.schema_arrow.names if names or name != c.USER_ID]
            for group, (low, high) in enumerate(pairwise(edges.tolist())):
                if low == high:
                    continue
                users = own[low:high]
                some = wanted_R[users]
                table = opened.read_row_group(group, columns=fields if some.any() else _PLACES, use_threads=False)
                rows = part.row_R[users] - group * size
                self._note(part, users, rows, table)
                if some.any():
                    trainable_R = np.full(int(some.sum()), part.trainable)
                    yield OldRows(table.take(pa.array(rows[some])), trainable_R, part.count_R[users[some]])

    def _note(self, part: PartUsers, users: I64, rows: I64, table: pa.Table) -> None:
        length, activity, trained = (
            values.to_numpy()[rows] for values in (pc.list_value_length(table[c.ITEMS]), table[c.ACTIVITY], table[c.TRAIN_EVENTS])
        )
        part.length_R[users], part.activity_R[users] = length, activity
        removed = np.where(activity > 0, activity - trained, 0) if self._manifest.summary["capped_users"] else 0
        part.count_R[users] = length + removed


def _numbers_in(file_R: npt.NDArray[np.integer[Any]]) -> list[int]:
    """The numbers that occur, sorted."""
    found: list[int] = np.flatnonzero(np.bincount(file_R)).tolist()
    return found


def is_among(key_R: I64, key_U: I64) -> npt.NDArray[np.bool_]:
    """Which keys are among sorted ones."""
    if not key_U.size:
        return np.zeros(key_R.size, np.bool_)
    place = np.minimum(np.searchsorted(key_U, key_R), key_U.size - 1)
    found: npt.NDArray[np.bool_] = key_U[place] == key_R
    return found
