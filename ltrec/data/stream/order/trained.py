"""The users that are trained on: those who bring a target, stratum by stratum.

A user brings a target with the second training event. One with a single event (under leave_one_out, everybody of three events) is
in a stratum and in its reports, but in no step, and a stratum of such users alone trains nothing. Counted from the
manifest, so it is known before any file is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ltrec.core.strata import MergedStrata
from ltrec.data.manifest import Manifest
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.pools import chosen_strata, shares_of_step
from ltrec.data.stream.reading.blocks import I64


@dataclass(frozen=True, slots=True)
class TrainedUsers:
    """The users of the strata that `stream.users` chooses; none of the others.

    Attributes:
        all_K: everybody in the stratum.
        users_K: those with two training events or more, who train.
        events_K: their training events, before the history cap.
    """

    all_K: tuple[int, ...]
    users_K: tuple[int, ...]
    events_K: tuple[int, ...]

    @staticmethod
    def of(manifest: Manifest, users: str) -> TrainedUsers:
        """Of the data set's strata.

        Everybody else in a stratum has one training event, or is counted as having one because the history cap left one.

        Raises:
            UserError: head or tail is asked for where there is nothing to divide.
        """
        strata, chosen = manifest.strata, chosen_strata(manifest, users)
        all_K, users_K, events_K = (
            np.array([value if z in chosen else 0 for z, value in enumerate(column)])
            for column in (strata.users, manifest.trainable_K, strata.events)
        )
        return _counts(all_K, users_K, np.where(users_K > 0, events_K - (all_K - users_K), 0))

    def merged(self, merged: MergedStrata) -> TrainedUsers:
        """Of fewer strata."""
        columns = (self.all_K, self.users_K, self.events_K)
        return _counts(*(np.bincount(merged.stratum_map, column, merged.strata.count).astype(np.int64) for column in columns))


def _counts(*columns: I64) -> TrainedUsers:
    return TrainedUsers(*(tuple(column.tolist()) for column in columns))


def drawn_strata(manifest: Manifest, config: StreamConfig) -> I64:
    """The data set's strata that steps ever hold, ascending: they have users that train, and no quota of 0.

    Raises:
        UserError: nobody can be trained on, or impossible quotas.
    """
    shards = [number for share in shares_of_step(manifest, config) for number in share.shards]
    return np.unique([manifest.shards[number].stratum for number in shards])
