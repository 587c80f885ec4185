"""A table of given histories, in either layout, as arrays with an entry per event, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.errors import UserError
from ltrec.core.ragged import I64, prefix_sums
from ltrec.inference.given.files import GivenFiles
from ltrec.inference.given.form import Form, is_list
from ltrec.inference.given.grouping import run_starts, user_column


@dataclass(frozen=True, slots=True)
class GivenRows:
    """B users with E events.

    Attributes:
        user: their raw ids [B].
        offsets: user b has the events offsets[b]:offsets[b+1] [B+1].
        events: column of the files -> values [E].
        users: column of the files -> values [B].
        candidates: lists of raw ids [B], null = all items; None = all items for all users.
        event_place, user_place: where an entry stands, for messages.
    """

    user: pa.Array
    offsets: I64
    events: dict[str, pa.Array]
    users: dict[str, pa.Array]
    candidates: pa.Array | None
    event_place: Callable[[int], str]
    user_place: Callable[[int], str]


def rows_of(table: pa.Table, form: Form, files: GivenFiles, first: int) -> GivenRows:
    """Read a table.

    Args:
        table: whole users.
        form: its form.
        files: it is from these.
        first: its first row among all.

    Raises:
        UserError: lists beside each other that are not equally long.
    """
    return (_of_lists if form.lists else _of_events)(table, form, files, first)


def _of_events(table: pa.Table, form: Form, files: GivenFiles, first: int) -> GivenRows:
    users = user_column(table, form.user)
    starts = run_starts(users)
    last = pa.array(np.append(starts[1:], len(users)) - 1)
    return GivenRows(
        users.take(pa.array(starts)),
        np.append(starts, len(users)),
        {name: _one(table, name) for name in _event_names(form)},
        {name: _one(table, name).take(last) for name in form.users.values()},
        None,
        lambda event: files.place(first + event),
        lambda user: files.place(first + int(starts[user])),
    )


def _of_lists(table: pa.Table, form: Form, files: GivenFiles, first: int) -> GivenRows:
    lengths, events = list_lengths(_one(table, form.item)), {}
    offsets = prefix_sums(lengths)
    for name in _event_names(form):
        column = _one(table, name)
        if (other := list_lengths(column) != lengths).any():
            raise UserError(f"{files.place(first + int(np.flatnonzero(other)[0]))}: {name} is not as long as {form.item}")
        events[name] = column.flatten()
    return GivenRows(
        user_column(table, form.user),
        offsets,
        events,
        {name: _one(table, name) for name in form.users.values()},
        None if form.candidates is None else _one(table, form.candidates),
        lambda event: files.place(first + int(np.searchsorted(offsets, event, side="right")) - 1),
        lambda user: files.place(first + user),
    )


def list_lengths(column: pa.Array) -> I64:
    """Length of every list [N]; 0 for null."""
    lengths: I64 = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _event_names(form: Form) -> list[str]:
    return [name for name in (form.item, form.time, *form.events.values()) if name is not None]


def _one(table: pa.Table, name: str) -> pa.Array:
    """A column as one array; lists of one kind."""
    column = table.column(name).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if is_list(column.type) and not pa.types.is_list(column.type):
        return column.cast(pa.list_(column.type.value_type))
    return column
