"""Anybody's ranks: tables with a row per user, read strictly, for conventions differ and a wrong one would change the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ltrec.api.inputs.tables import as_table, is_table, path_of
from ltrec.core.counting import counted
from ltrec.core.errors import UserError

USER, RANK, ACTIVITY = ("user", "user_id"), ("rank",), ("activity",)
"""Accepted names of columns; the second one is that of ltrec's own tables."""

_BEYOND = "a target that is not in a list of k items has any rank above k, which counts as a miss"


@dataclass(frozen=True, slots=True)
class Ranks:
    """One table: users [N], the rank of each one's target [N] and, if the table has them, his training events [N]."""

    users: list[str]
    rank_N: npt.NDArray[np.int64]
    activity_N: npt.NDArray[np.int64] | None


def read_ranks(source: Any, what: str) -> Ranks:
    """A table with the columns user and rank, and perhaps activity.

    Args:
        source: a Parquet or CSV file, or a table.
        what: which one it is, for messages.

    Raises:
        UserError: a column is missing, or holds what it must not.
    """
    table = _table(source, what)
    activity = _counts(table, what) if set(ACTIVITY) & set(table.column_names) else None
    return Ranks(_users(table, what), _whole(table, RANK, what, least=1, hint=f"ranks begin at 1, and {_BEYOND}"), activity)


def read_activity(source: Any, what: str) -> dict[str, int]:
    """Training events by user, of a table with the columns user and activity.

    Raises:
        UserError: a column is missing or holds what it must not, or a user comes twice.
    """
    table = _table(source, what)
    users, counts = _users(table, what), _counts(table, what)
    found = dict(zip(users, counts.tolist(), strict=True))
    if len(found) < len(users):
        raise UserError(f"{what}: {counted(len(users) - len(found), 'row')} of users who came before; each user has one row")
    return found


def _table(source: Any, what: str) -> pa.Table:
    if is_table(source):
        return as_table(source)
    path = Path(path_of(source))
    if not path.is_file():
        raise UserError(f"{what}: no such file: {path}")
    text = {name: pa.string() for name in USER}
    try:
        if path.suffix in (".csv", ".tsv"):
            parse = pa_csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
            return pa_csv.read_csv(path, parse_options=parse, convert_options=pa_csv.ConvertOptions(column_types=text))
        with pq.ParquetFile(path) as file:
            return as_table(file.read())
    except pa.ArrowInvalid as error:
        raise UserError(f"{what}: {path} is no Parquet file, and no .csv or .tsv ({str(error).partition(chr(10))[0]})") from None


def _users(table: pa.Table, what: str) -> list[str]:
    column = _column(table, USER, what)
    if pa.types.is_floating(column.type):
        raise UserError(f"{what}: users are {column.type} numbers; make them whole numbers or text: 1 and 1.0 would be two users")
    if column.null_count:
        raise UserError(f"{what}: {counted(column.null_count, 'row')} without a user")
    users: list[str] = column.cast(pa.string()).to_pylist()
    return users


def _counts(table: pa.Table, what: str) -> npt.NDArray[np.int64]:
    return _whole(table, ACTIVITY, what, least=0, hint="activity is a user's number of training events")


def _whole(table: pa.Table, names: Sequence[str], what: str, *, least: int, hint: str) -> npt.NDArray[np.int64]:
    """A column of whole numbers from `least` on."""
    column, name = _column(table, names, what), names[0]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise UserError(f"{what}: {name} is {column.type}, not a number; {hint}")
    values = np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy())
    for wrong, word in (
        (~np.isfinite(values), "without a finite"),
        (values < least, f"with a number below {least} as"),
        (values != np.floor(values), "with a fraction as"),
    ):
        if wrong.any():
            raise UserError(f"{what}: {counted(int(wrong.sum()), 'user')} {word} {name}; {hint}")
    return values.astype(np.int64)


def _column(table: pa.Table, names: Sequence[str], what: str) -> pa.ChunkedArray:
    found = [name for name in names if name in table.column_names]
    if not found:
        raise UserError(f"{what}: no column {' or '.join(map(repr, names))}; it has {', '.join(map(repr, table.column_names))}")
    return table.column(found[0])
