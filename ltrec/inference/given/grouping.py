"""Boundaries of users among events. A user whose events are not contiguous would be answered twice, so such files are refused.

Users in ascending order need no memory; in any other order, eight bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.errors import UserError
from ltrec.core.ragged import I64
from ltrec.inference.given.files import ForwardReader, GivenFiles

_ROWS = 1 << 17
_NOTHING: I64 = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Users that begin in some rows: first rows, ids, and whether ids are ascending so far."""

    row: I64
    user: pa.Array
    rising: bool


def every_nth_user(files: GivenFiles, column: str, each: int) -> tuple[list[int], int]:
    """The first rows of users 0, n, 2 n, ..., and the number of users.

    Args:
        files: of events.
        column: with the users.
        each: n.

    Raises:
        UserError: a user is missing, or comes back after another.
    """
    found, users, rising = list[int](), 0, True
    for runs in _runs(files, column):
        found += runs.row[-users % each :: each].tolist()
        users, rising = users + runs.row.size, rising and runs.rising
    if not rising:
        _refuse_returning(files, column, users)
    return found, users


def run_starts(column: pa.Array) -> I64:
    """Positions whose value differs from the previous one."""
    changed = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    starts: I64 = np.flatnonzero(np.concatenate([[True], changed]))
    return starts


def user_column(table: pa.Table, name: str) -> pa.Array:
    """User ids as one array of a plain type."""
    column = table.column(name).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _runs(files: GivenFiles, column: str) -> Iterator[_Runs]:
    reader, last = ForwardReader(files, [column]), None
    for low in range(0, files.num_rows, _ROWS):
        users = user_column(reader.read(low, min(low + _ROWS, files.num_rows)), column)
        refuse_missing_users(users, files, low)
        joined = users if last is None else pa.concat_arrays([last, users])
        starts = run_starts(joined)[0 if last is None else 1 :]
        of_runs = joined.take(pa.array(starts))
        chain = of_runs if last is None else pa.concat_arrays([last, of_runs])
        rising = bool(pc.all(pc.less(chain[:-1], chain[1:]), min_count=0).as_py())
        yield _Runs(low + starts - (last is not None), of_runs, rising)
        last = users[-1:]
    reader.close()


def refuse_missing_users(users: pa.Array, files: GivenFiles, first: int) -> None:
    """Refuse a row without a user; NaN counts as missing.

    Raises:
        UserError: naming the row.
    """
    missing = pc.is_null(users, nan_is_null=True)
    if pc.any(missing).as_py():
        row = int(np.flatnonzero(missing.to_numpy(zero_copy_only=False))[0])
        raise UserError(f"{files.place(first + row)} has no user; leave the row out")


def _refuse_returning(files: GivenFiles, column: str, users: int) -> None:
    seen: npt.NDArray[np.int64] = np.empty(users, np.int64)
    place = 0
    for runs in _runs(files, column):
        seen[place : place + runs.row.size] = _hashes(runs.user)
        place += runs.row.size
    seen.sort()
    twice = seen[1:][seen[1:] == seen[:-1]]
    if not twice.size:
        return
    once = False
    for runs in _runs(files, column):
        for at in np.flatnonzero(_hashes(runs.user) == twice[0]).tolist():
            if once:
                raise UserError(
                    f"{files.place(int(runs.row[at]))}: user {runs.user[at].as_py()!r} comes back after other users; sort or group "
                    f"the events by {column}"
                )
            once = True


def _hashes(users: pa.Array) -> I64:
    """Random key of hashes. Among a hundred million users, two have the same hash in one of ten thousand cases."""
    return np.fromiter(map(hash, users.to_pylist()), np.int64, len(users)) if len(users) else _NOTHING
