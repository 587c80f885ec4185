"""Links, stored as spans of training events, which take space proportional to the log even if there are large ties.

A tie of a thousand events has half a million pairs, so pairs are not stored: the neighbours of an item are the events in the spans
of its events. For the most frequent items, the *hubs*, there is also a bitmap with a row per item; it decides nearly all
queries, and those that would be the most expensive to walk.

Letters: N training events, V items, W words of 64 bits.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core.ragged import I64, prefix_sums, ragged
from ltrec.data.prepare.reach.tie_groups import TieGroups
from ltrec.data.prepare.sorting.grouping import UserBlock

HUB_BYTES, MOST_WORDS, WORD = 1 << 27, 8, 64
PIECE = 1 << 21
"""Events processed at a time."""
PAIRS = 8
"""Pairs of a hub and an event around it, per event, up to which they are written one by one."""


@dataclass(frozen=True, slots=True)
class Links:
    """Neighbours of every item.

    Attributes:
        item_N: items 1..V of the training events, int32.
        low_N, high_N: the span of each event, a range of events.
        offsets: item v has the events at_N[offsets[v]:offsets[v+1]], int64 [V+2].
        at_N: the events, sorted by item.
        visits_V: events in all spans of an item, int64 [V+1]: the cost of walking to its neighbours.
        hub_VW: bit b of word w of row v is set if v shares a span with item 64 w + b + 1 (also with itself).
    """

    item_N: npt.NDArray[np.int32]
    low_N: npt.NDArray[Any]
    high_N: npt.NDArray[Any]
    offsets: I64
    at_N: npt.NDArray[Any]
    visits_V: I64
    hub_VW: npt.NDArray[np.uint64]

    @property
    def hubs(self) -> int:
        """Items 1..hubs are the hubs."""
        return int(min(self.hub_VW.shape[1] * WORD, len(self.hub_VW) - 1))

    def neighbours(self, owner_P: I64, item_P: I64) -> Iterator[I64]:
        """Keys of (owner, item that shares a span with one of the owner's items), in pieces; sorted and unique within a piece.

        Args:
            owner_P: the owners, sorted.
            item_P: an item of each.
        """
        width = len(self.visits_V)
        starts, lengths = self.offsets[item_P], self.offsets[item_P + 1] - self.offsets[item_P]
        for some in pieces(lengths, PIECE):
            events = np.asarray(self.at_N[ragged(starts[some], lengths[some])])
            owner = np.repeat(owner_P[some], lengths[some])
            release(self.at_N)
            low = np.asarray(self.low_N[events]).astype(np.int64)
            release(self.low_N)
            sizes = self.high_N[events] - low
            release(self.high_N)
            for part in pieces(sizes, PIECE):
                found = np.asarray(self.item_N[ragged(low[part], sizes[part])])
                release(self.item_N)
                yield _sorted_unique(np.repeat(owner[part], sizes[part]) * width + found)


def _sorted_unique(key: I64) -> I64:
    """Sorted distinct keys; several times as fast as `np.unique`, which hashes."""
    key.sort()
    distinct: I64 = key[np.append(True, key[1:] != key[:-1])]
    return distinct


def pieces(lengths: I64, most: int) -> Iterator[slice]:
    """Consecutive ranges with a total of at most `most`; a single length above that gets a range of its own."""
    ends, low = np.cumsum(lengths), 0
    while low < len(ends):
        before = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(low, high)
        low = high


def find_links(
    stream: Iterable[UserBlock], id_of_code: npt.NDArray[np.int32], count_of_code: npt.NDArray[np.int64], folder: Path
) -> Links:
    """Gather the links of all blocks.

    Args:
        stream: the blocks.
        id_of_code: item id of every code; 0 where an item was filtered out.
        count_of_code: training events of every code.
        folder: for memory-mapped files, which the caller removes.

    Raises:
        OSError: no space left on the device.
    """
    count_V = np.zeros(int(id_of_code.max()) + 1, np.int64)
    count_V[id_of_code] = count_of_code
    links = _empty(count_V, folder)
    filled, unreleased, cursor_V = 0, 0, links.offsets[:-1].copy()
    for block in stream:
        ties = TieGroups.of(block)
        if (n := ties.code_n.size) == 0:
            continue
        item = id_of_code[ties.code_n]
        low, high = ties.spans()
        here = slice(filled, filled + n)
        links.item_N[here], links.low_N[here], links.high_N[here] = item, low + filled, high + filled
        links.visits_V[:] += np.bincount(item, high - low, len(count_V)).astype(np.int64)
        order, own, first, times = _by_item(item)
        links.at_N[ragged(cursor_V[own], times)] = order + filled
        cursor_V[own] += times
        _mark_hubs(links, item, ties, (low, high), order, own, first)
        filled += n
        if (unreleased := unreleased + n) > PIECE:
            release(links.item_N, links.low_N, links.high_N, links.at_N)
            unreleased = 0
    return links


def _by_item(item_n: npt.NDArray[np.int32]) -> tuple[I64, I64, I64, I64]:
    """The order by item, and in it every item that occurs, where it begins and how often it occurs."""
    key = (item_n.astype(np.int64) << 32) | np.arange(item_n.size)  # sorted several times as fast as by a stable argsort
    key.sort()
    sorted_n = key >> 32
    first = np.flatnonzero(np.diff(sorted_n, prepend=-1))
    return key & 0xFFFFFFFF, sorted_n[first], first, np.diff(first, append=item_n.size)


def _empty(count_V: I64, folder: Path) -> Links:
    events, items = int(count_V.sum()), len(count_V)
    index = np.int32 if events < 1 << 31 else np.int64
    words = min(MOST_WORDS, max(1, HUB_BYTES // (8 * items)), -(-items // WORD))
    return Links(
        item_N=mapped(folder / "links-item", events, np.int32),
        low_N=mapped(folder / "links-low", events, index),
        high_N=mapped(folder / "links-high", events, index),
        offsets=prefix_sums(count_V),
        at_N=mapped(folder / "links-at", events, index),
        visits_V=np.zeros(items, np.int64),
        hub_VW=np.zeros((items, words), np.uint64),
    )


def _mark_hubs(
    links: Links,
    item_n: npt.NDArray[np.int32],
    ties: TieGroups,
    spans: tuple[I64, I64],
    order: I64,
    own: I64,
    first: I64,
) -> None:
    """Set the hub bits of a block's events; `order` sorts the events by item, and item `own[i]` starts at `first[i]`.

    A span has three events where there are no ties: then every hub is written to the items around it, one by one. Where spans are
    long, bits are gathered by ties, word by word.
    """
    hubs = np.flatnonzero(item_n <= links.hubs)
    low, sizes = spans[0][hubs], spans[1][hubs] - spans[0][hubs]
    if sizes.sum() <= PAIRS * len(item_n):
        place = np.repeat(item_n[hubs].astype(np.int64) - 1, sizes)
        words = links.hub_VW.reshape(-1)
        at = item_n[ragged(low, sizes)] * np.int64(links.hub_VW.shape[1]) + place // WORD
        np.bitwise_or.at(words, at, np.uint64(1) << (place % WORD).astype(np.uint64))
        return
    place = (item_n - 1).astype(np.uint64)
    for word in range(links.hub_VW.shape[1]):
        bits = np.where(place // WORD == word, np.uint64(1) << (place % np.uint64(WORD)), np.uint64(0))
        if bits.any():
            links.hub_VW[own, word] |= np.bitwise_or.reduceat(ties.bits_of_spans(bits)[order], first)


def release(*arrays: npt.NDArray[Any]) -> None:
    """Give back the pages of mapped arrays, which count as this process's memory until then; their files keep what was written."""
    for array in arrays:
        if isinstance(array, np.memmap) and array.size:
            array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def mapped(path: Path, length: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array in a memory-mapped file. Space is allocated at once, because a full disk during a later write would kill the
    process.

    Raises:
        OSError: no space left on the device.
    """
    size = max(1, length) * np.dtype(dtype).itemsize
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
    return np.memmap(path, dtype, "r+", shape=(max(1, length),))[:length]
