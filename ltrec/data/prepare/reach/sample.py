"""The users whose targets are measured, with their histories: all users, or a sample of a very large log, ordered by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core import columns as c
from ltrec.core.ragged import I64, prefix_sums, ragged
from ltrec.data.prepare.sorting.grouping import UserBlock

MOST_USERS, MOST_EVENTS = 100_000, 10_000_000


@dataclass(frozen=True, slots=True)
class UserSample:
    """U users with a target, ordered by key. Keys are hashes, so the first n users are a random sample.

    Attributes:
        key_U: user keys.
        stratum_U: activity strata, -1 = kept out of training.
        item_E: their events, concatenated, up to the last target.
        offsets: user u has item_E[offsets[u]:offsets[u+1]], int64 [U+1].
        at: position of the target by split, [U] each; -1 = none.
    """

    key_U: I64
    stratum_U: I64
    item_E: npt.NDArray[np.int32]
    offsets: I64
    at: dict[str, I64]


@dataclass(frozen=True, slots=True)
class TargetQuery:
    """n users with a history and a target.

    Attributes:
        item_E: events of all users.
        start_n, length_n: range of each user's history in item_E, never empty.
        target_n: the targets.
    """

    item_E: npt.NDArray[np.int32]
    start_n: I64
    length_n: I64
    target_n: I64

    @staticmethod
    def of(sample: UserSample, user_n: I64, split: str) -> TargetQuery:
        """Queries for the targets of a split."""
        start, at = sample.offsets[user_n], sample.at[split][user_n]
        return TargetQuery(sample.item_E, start, at, sample.item_E[start + at].astype(np.int64))

    def take(self, which: I64 | slice) -> TargetQuery:
        """Some of the users."""
        return TargetQuery(self.item_E, self.start_n[which], self.length_n[which], self.target_n[which])

    def histories(self) -> npt.NDArray[np.int32]:
        """The items of all histories, concatenated."""
        return self.item_E[ragged(self.start_n, self.length_n)]


def sample_share(users: int, events: int) -> float:
    """The share of users to sample, given the number of users and events."""
    return min(1.0, MOST_USERS / users, MOST_EVENTS / events)


class Sampler:
    """Takes the users whose keys are among the smallest `share` of all keys, from blocks that someone else reads.

    Args:
        id_of_code: item id of every code.
        share: of the users.
    """

    def __init__(self, id_of_code: npt.NDArray[np.int32], share: float) -> None:
        self._id_of_code, self._share = id_of_code, share
        self._taken: list[tuple[tuple[I64, ...], npt.NDArray[np.int32]]] = []

    def watched(self, stream: Iterable[UserBlock]) -> Iterator[UserBlock]:
        """The same blocks."""
        for block in stream:
            if (part := _of_block(block, self._id_of_code, self._share)) is not None:
                self._taken.append(part)
            yield block

    def sample(self) -> UserSample:
        """The users of all blocks that were watched; the sampler then holds none of them."""
        taken, self._taken = self._taken, []
        return _joined(taken)


def _joined(taken: list[tuple[tuple[I64, ...], npt.NDArray[np.int32]]]) -> UserSample:
    if not taken:
        none = np.zeros(0, np.int64)
        return UserSample(none, none, none.astype(np.int32), np.zeros(1, np.int64), {"valid": none, "test": none})
    key, stratum, length, valid, test = (np.concatenate(column) for column in zip(*(users for users, _ in taken), strict=True))
    items, order = np.concatenate([items for _, items in taken]), np.argsort(key)
    starts = prefix_sums(length)[:-1]
    return UserSample(
        key_U=key[order],
        stratum_U=stratum[order],
        item_E=items[ragged(starts[order], length[order])],
        offsets=prefix_sums(length[order]),
        at={"valid": valid[order], "test": test[order]},
    )


def _of_block(
    block: UserBlock, id_of_code: npt.NDArray[np.int32], share: float
) -> tuple[tuple[I64, ...], npt.NDArray[np.int32]] | None:
    key, stratum, valid, test = (
        block.users[name].to_numpy().astype(np.int64) for name in (c.USER_KEY, c.STRATUM, c.VALID_AT, c.TEST_AT)
    )
    sampled = (np.maximum(valid, test) > 0) & (key + 2.0**63 < share * 2.0**64) if share < 1 else np.maximum(valid, test) > 0
    users = np.flatnonzero(sampled)
    if not users.size:
        return None
    length = np.maximum(valid, test)[users] + 1
    items = id_of_code[block.codes[ragged(block.offsets[:-1][users], length)]]
    return (key[users], stratum[users], length, valid[users], test[users]), items
