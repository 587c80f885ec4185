"""Given histories as input of a scorer: known items in the order of time, cropped as in training, with the stratum of their length.

A user's activity is the number of known items in the given history, before any limit. It chooses the plugins, as the strata of the
manifest say. Items beyond the limit of the data set (`history_cap`), the oldest ones, are left out, as prepare left them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ltrec.columns.kinds.kind import Values
from ltrec.columns.schema import Projection
from ltrec.core import columns as c
from ltrec.core.batch import SequenceBatch
from ltrec.core.ragged import I64, prefix_sums, ragged
from ltrec.core.strata import Strata
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.inference.counts import Counts
from ltrec.inference.given.columns import RawColumn
from ltrec.inference.given.files import ForwardReader, GivenFiles
from ltrec.inference.given.form import Form
from ltrec.inference.given.grouping import refuse_missing_users
from ltrec.inference.given.ids import NONE, UNKNOWN, ItemIds
from ltrec.inference.given.moments import Order, order_of, plain_times, seconds_of
from ltrec.inference.given.plan import ChunkPlan
from ltrec.inference.given.rows import GivenRows, list_lengths, rows_of

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GivenChunk:
    """A chunk of B users.

    Attributes:
        user: raw ids, as they were given [B].
        stratum_B: the data set's stratum of each history; 0 for an empty one.
        known_B: who has a known item.
        histories: of those.
        candidates_B: known candidates of each; None = all items; None altogether if no user has any.
        counts: what was found.
    """

    user: pa.Array
    stratum_B: I64
    known_B: Flags
    histories: HistoryChunk
    candidates_B: list[Tensor | None] | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Routing:
    """Limits and routing of a model.

    Attributes:
        max_len: most items of a history that it is given.
        strata: its strata.
        heirs: the stratum whose plugins serve each of them.
        asked: columns of events and users that it uses.
    """

    max_len: int
    strata: Strata
    heirs: Sequence[int]
    asked: Projection


class GivenHistories:
    """Chunks of users, in ascending order.

    Args:
        files: the histories.
        form: their form.
        plan: which rows are which chunk.
        folder, manifest: the data set that the model was trained on.
        item_id: its raw item ids [V+1].
        routing: the model's.
    """

    def __init__(
        self,
        files: GivenFiles,
        form: Form,
        plan: ChunkPlan,
        folder: Path,
        manifest: Manifest,
        item_id: Sequence[str],
        routing: Routing,
    ) -> None:
        self._files, self._form, self._plan, self._manifest, self._routing = files, form, plan, manifest, routing
        null_values = manifest.options.get("null_values", PrepareConfig().null_values)
        self._cap = int(manifest.options.get("history_cap", PrepareConfig().history_cap))
        self._items = ItemIds(item_id, null_values)
        events, users = manifest.columns.of("event"), manifest.columns.of("user")
        self._events = {name: RawColumn(folder, manifest, events[name], null_values) for name in form.events}
        self._users = {name: RawColumn(folder, manifest, users[name], null_values) for name in form.users}
        self._reader = ForwardReader(files, form.columns)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def chunk(self, index: int) -> GivenChunk:
        """Chunk `index`; at least the previously requested one.

        Raises:
            UserError: an entry is not an id, time or value of its column, or a file is damaged.
        """
        low, high = self._plan.starts[index : index + 2]
        rows = rows_of(self._reader.read(low, high), self._form, self._files, low)
        if self._form.lists:
            refuse_missing_users(rows.user, self._files, low)
        items = self._items.of(rows.events[self._form.item], self._what(self._form.item), rows.event_place)
        order, seconds = self._times(rows)
        kept, length_B = _in_order(items, order, rows.offsets)
        seen_B = np.minimum(length_B, self._cap)
        known_B = length_B > 0
        starts = prefix_sums(length_B)
        seen = kept[ragged(starts[1:] - seen_B, seen_B)]
        candidates, strange = self._candidates(rows)
        return GivenChunk(
            rows.user,
            self._manifest.strata.serving(length_B),
            known_B,
            self._histories(index, rows, items, seconds, seen, length_B, seen_B),
            candidates,
            Counts(
                users=len(length_B),
                empty=int((~known_B).sum()),
                events=int((items != NONE).sum()),
                unknown_items=int((items == UNKNOWN).sum()),
                truncated=int((length_B > seen_B).sum()),
                unknown_candidates=strange,
            ),
        )

    def _histories(
        self, index: int, rows: GivenRows, items: I64, seconds: I64 | None, seen: I64, length_B: I64, seen_B: I64
    ) -> HistoryChunk:
        """The batch of users with a known item."""
        known = np.flatnonzero(length_B > 0)
        length, seen_lengths = length_B[known], seen_B[known]
        seen_offsets, cropped = prefix_sums(seen_lengths), np.minimum(seen_lengths, self._routing.max_len)
        crop = seen[ragged(seen_offsets[1:] - cropped, cropped)]
        route = np.asarray(self._routing.heirs, np.int64)[self._routing.strata.serving(length)]
        nobody = torch.zeros(known.size, dtype=torch.int64)
        return HistoryChunk(
            index=index,
            batch=SequenceBatch.of_histories(
                torch.from_numpy(items[crop]),
                torch.from_numpy(prefix_sums(cropped)),
                torch.from_numpy(route),
                nobody,
                self._of_events(rows, seconds, crop),
                self._of_users(rows, known),
            ),
            user_id=[str(user) for user in rows.user.take(pa.array(known)).to_pylist()],
            stratum_B=torch.from_numpy(self._manifest.strata.serving(length)),
            activity_B=torch.from_numpy(length),
            history_length_B=torch.from_numpy(seen_lengths),
            target_B=nobody,
            seen_T=torch.from_numpy(items[seen]),
            seen_offsets=torch.from_numpy(seen_offsets),
        )

    def _times(self, rows: GivenRows) -> tuple[Order | None, I64 | None]:
        """The order of events, and their seconds if the model uses times."""
        if self._form.time is None:
            return None, None
        what = self._what(self._form.time)
        times = plain_times(rows.events[self._form.time], what, rows.event_place)
        if c.TIME not in self._routing.asked.events:
            return order_of(times), None
        return order_of(times), seconds_of(times, self._manifest.source.get("time_unit", "s"), what)

    def _of_events(self, rows: GivenRows, seconds: I64 | None, crop: I64) -> dict[str, Tensor]:
        found: dict[str, Values] = {}
        for name, raw in self._events.items():
            column = self._form.events[name]
            found[name] = raw.stored(rows.events[column], self._what(column), rows.event_place)
        if seconds is not None:
            found[c.TIME] = seconds
        return {name: torch.from_numpy(values[crop]) for name, values in found.items()}

    def _of_users(self, rows: GivenRows, known: I64) -> dict[str, Tensor]:
        found = {}
        for name, raw in self._users.items():
            column = self._form.users[name]
            values = raw.stored(rows.users[column], self._what(column), rows.user_place)
            found[name] = torch.from_numpy(values[known])
        return found

    def _candidates(self, rows: GivenRows) -> tuple[list[Tensor | None] | None, int]:
        """Known candidates of every user, and how many are unknown."""
        if rows.candidates is None:
            return None, 0
        what, offsets = self._what(str(self._form.candidates)), prefix_sums(list_lengths(rows.candidates))
        items = self._items.of(
            rows.candidates.flatten(),
            what,
            lambda entry: rows.user_place(int(np.searchsorted(offsets, entry, side="right")) - 1),
        )
        named = rows.candidates.is_valid().to_numpy(zero_copy_only=False)
        found: list[Tensor | None] = [None] * len(named)
        for user in np.flatnonzero(named).tolist():
            own = items[offsets[user] : offsets[user + 1]]
            found[user] = torch.from_numpy(own[own > 0])
        return found, int((items == UNKNOWN).sum())

    def _what(self, column: str) -> str:
        return f"{self._files.paths[0].parent if len(self._files.paths) > 1 else self._files.paths[0]}: the column {column!r}"


def _in_order(items: I64, order: Order | None, offsets: I64) -> tuple[I64, I64]:
    """Places of known items, by user and then by time (ties in the order of the table), and how many each user has."""
    user_E = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    kept = np.flatnonzero(items > 0)
    if order is not None:
        kept = kept[np.lexsort((order[kept], user_E[kept]))]
    return kept, np.bincount(user_E[kept], minlength=offsets.size - 1)
