"""The users that are trained on: those with a target, by stratum.

A user has a target from the second training event on. One with a single training event (with leave_one_out, every user with three
events) belongs to a stratum and appears in its reports, but in no step; a stratum of such users only is not trained. The counts
come from the manifest, so no file is read.
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
    """Numbers of users in the strata that are trained on; 0 for other strata.

    Attributes:
        all_K: all users of the stratum.
        users_K: those with two training events or more, who are trained on.
        events_K: their training events, before the history cap.
    """

    all_K: tuple[int, ...]
    users_K: tuple[int, ...]
    events_K: tuple[int, ...]

    @staticmethod
    def of(manifest: Manifest, users: str) -> TrainedUsers:
        """Counts for the strata of the data set.

        All other users of a stratum have one training event, or count as having one because the history cap left one.

        Raises:
            UserError: head or tail is requested and the data set has only one stratum.
        """
        strata, chosen = manifest.strata, chosen_strata(manifest, users)
        all_K, users_K, events_K = (
            np.array([value if z in chosen else 0 for z, value in enumerate(column)])
            for column in (strata.users, manifest.trainable_K, strata.events)
        )
        return _counts(all_K, users_K, np.where(users_K > 0, events_K - (all_K - users_K), 0))

    def merged(self, merged: MergedStrata) -> TrainedUsers:
        """Counts for merged strata."""
        columns = (self.all_K, self.users_K, self.events_K)
        return _counts(*(np.bincount(merged.stratum_map, column, merged.strata.count).astype(np.int64) for column in columns))


def _counts(*columns: I64) -> TrainedUsers:
    return TrainedUsers(*(tuple(column.tolist()) for column in columns))


def drawn_strata(manifest: Manifest, config: StreamConfig) -> I64:
    """The data set's strata that appear in steps, ascending: those with trainable users, and without a quota of 0.

    Raises:
        UserError: no user can be trained on, or impossible quotas.
    """
    shards = [number for share in shares_of_step(manifest, config) for number in share.shards]
    return np.unique([manifest.shards[number].stratum for number in shards])
