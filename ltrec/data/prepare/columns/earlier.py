"""Columns of an earlier data set, with which a new one goes on (`--append`, `--like`).

values       keep their ids; others that are frequent enough get the ids after them, by descending count. Of a value without an id
             only "unknown" is stored: what the earlier data set has stays that, and only new events, items and users can bring a
             value an id
items, users that the earlier data set has keep their columns; rows of them in the tables are not used
statistics   stay, so that a number means to a model what it meant before; unless thresholds are cut anew
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.kinds import options_of
from ltrec.columns.schema import FIRST_VALUE, UNKNOWN
from ltrec.core import columns as c
from ltrec.data.columns import item_batches
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.database import Connection, identifier, quoted
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.engines.rows import ROW_BITS
from ltrec.data.verify.shard_rows import ShardRows


@dataclass(frozen=True, slots=True)
class EarlierColumns:
    """Columns of a data set in a folder whose files are known to be whole.

    Attributes:
        folder: the data set.
        manifest: its manifest.
        recut: statistics of values are measured anew.
    """

    folder: Path
    manifest: Manifest
    recut: bool = False

    @staticmethod
    def of(folder: Path, manifest: Manifest, columns: Iterable[Declared], *, recut: bool) -> EarlierColumns | None:
        """The columns of a data set, if these are declared in the same way; None if it has others, or none."""
        declared = {_declaration(column) for column in columns}
        had = {(column.role, column.name, column.kind, _text(column.options)) for column in manifest.columns}
        had |= {("event", c.WEIGHT, "", "")} if manifest.columns.weight else set()
        return EarlierColumns(folder, manifest, recut) if had and declared == had else None

    def size(self, column: Declared) -> int:
        """Number of ids of a categorical column: lower codes are ids. 0 for other columns."""
        return self.manifest.columns.of(column.role)[column.name].size if column.kind.is_categorical else 0

    def file(self, column: Declared) -> Path:
        """The vocabulary of a categorical column."""
        return self.folder / self.manifest.columns.of(column.role)[column.name].file

    def counts(self, column: Declared) -> npt.NDArray[np.int64]:
        """Training count of every id of a categorical column [size]; 0 for missing and unknown, of which it is not known."""
        counts = pq.read_table(self.file(column), columns=[c.COUNT])[c.COUNT].to_numpy()
        return np.concatenate([np.zeros(FIRST_VALUE, np.int64), counts])

    def statistics(self, column: Declared, measured: dict[str, float]) -> dict[str, float]:
        """Those that hold."""
        if self.recut:
            return measured
        if column.is_weight:
            return dict(self.manifest.summary[c.WEIGHT])
        return dict(self.manifest.columns.of(column.role)[column.name].statistics)

    def items(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of its item table by id, so many at a time."""
        return item_batches(self.folder, self.manifest, names, rows)

    def users(self, columns: Iterable[Declared]) -> Iterator[pa.Table]:
        """Id and columns of all users, as they are stored."""
        names = [c.USER_ID, *(column.field for column in columns)]
        for shard in self.manifest.shards:
            rows = ShardRows(self.folder, shard, self.manifest)
            for group in range(rows.groups):
                yield rows.table(group).select(names)


def sizes_of(manifest: Manifest) -> dict[str, int]:
    """Number of ids of every categorical column, by its role and name, for the lineage."""
    return {f"{column.role}.{column.name}": column.size for column in manifest.columns if column.file}


def grow_vocabularies(connection: Connection, columns: Iterable[Declared], earlier: EarlierColumns) -> None:
    """Replace the vocabulary tables of categorical columns: codes of earlier values are their ids, others follow. The table
    `recoded <field>` says of every code that `was` the `fresh` one, and whether the value is an earlier one."""
    for column in columns:
        if not column.kind.is_categorical:
            continue
        old = f"(SELECT {c.VALUE} AS word, {c.ID} AS id FROM read_parquet({quoted(earlier.file(column))})) AS old"
        fresh = f"{earlier.size(column) - 1} + row_number() OVER (PARTITION BY old.id IS NULL ORDER BY own.value)"
        connection.execute(
            f"""CREATE TABLE grown AS SELECT coalesce(own.value, old.word) AS value, own.code AS was, old.id IS NOT NULL AS known,
            coalesce(old.id, {fresh})::INTEGER AS code FROM {column.vocabulary} AS own FULL JOIN {old} ON own.value = old.word;
            DROP TABLE {column.vocabulary};
            CREATE TABLE {column.vocabulary} AS SELECT value, code FROM grown;
            CREATE TABLE {_recoded(column)} AS SELECT was, known, code AS fresh FROM grown WHERE was IS NOT NULL;
            DROP TABLE grown"""
        )


def take_values(engine: Engine, columns: Sequence[Declared], earlier: EarlierColumns, old_files: Iterable[int] = ()) -> None:
    """Recode the event columns of `events`, whose `tie` is still the place in the log; values of events in `old_files` that have no
    earlier id stay unknown."""
    grow_vocabularies(engine.catalogue, columns, earlier)
    old, listed, joins = _of_files(old_files), "", ""
    for column in columns:
        field = identifier(column.field)
        if not column.kind.is_categorical:
            listed += f", {field}"
            continue
        engine.lend(table := _recoded(column))
        joins += f" LEFT JOIN {table} ON {field} = {table}.was"
        listed += f", coalesce(CASE WHEN {old} AND NOT {table}.known THEN {UNKNOWN} ELSE {table}.fresh END, 0)::INTEGER AS {field}"
    if joins:
        engine.replace("events", f"SELECT user_key, code, seconds, sub_second, tie{listed} FROM events{joins}")


def keep_users(connection: Connection, columns: Sequence[Declared], known: Iterable[pa.Table]) -> None:
    """Put rows of known users, ids and columns as they are stored, in the places of others in `user_rows`, which holds codes."""
    for rows in known:
        connection.register("batch", rows)
        connection.execute(
            f"DELETE FROM user_rows WHERE user_id IN (SELECT {c.USER_ID} FROM batch);"
            f" INSERT INTO user_rows SELECT {c.USER_ID}{also(columns)} FROM batch"
        )
        connection.unregister("batch")


def _of_files(numbers: Iterable[int]) -> str:
    """SQL: whether an event's row is in one of these files."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1][1] = number + 1
        else:
            runs.append([number, number + 1])
    inside = " OR ".join(f"tie >= {low << ROW_BITS} AND tie < {high << ROW_BITS}" for low, high in runs)
    return f"({inside or 'false'})"


def _recoded(column: Declared) -> str:
    return identifier(f"recoded {column.field}")


def _declaration(column: Declared) -> tuple[str, str, str, str]:
    if column.is_weight:
        return ("event", c.WEIGHT, "", "")
    return (column.role, column.name, column.config.kind, _text(options_of(column.config)))


def _text(options: object) -> str:
    return json.dumps(options, sort_keys=True)
