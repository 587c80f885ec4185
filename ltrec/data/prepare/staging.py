"""From the batches of a reader to typed rows, the relation `staged`; a row with a `reason` is a reject.

file, row          where it came from (file = position among the sources)
user_id, item_id   raw ids: text, or whole numbers if a batch has only such
number, fraction, iso, text   the time (see times/columns.py)
normalised         text in the form that formats are tried on (see times/text.py)
content            a rejected row as text
event.<name>       event columns as their kinds parse them
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
from pyarrow import types

from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, quoted
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.times.columns import is_rounded, timed
from ltrec.data.prepare.times.text import normalised

INSERT_ROWS = 1 << 18
_WHOLE = re.compile("0|-?[1-9][0-9]{0,17}")
LONGEST_CONTENT = 500

_ROWS = """
SELECT {file} AS file, row, user_id, item_id, number, fraction, iso, text,
       CASE WHEN text IS NOT NULL THEN {normalised} END AS normalised,
       CASE WHEN {no_user} THEN 'null user' WHEN {no_item} THEN 'null item'
            WHEN {no_time} THEN 'null time' END AS reason,
       CASE WHEN reason IS NOT NULL THEN left(
           concat('user=', user_id, ' item=', item_id, ' time=', time), {longest}) END AS content{also}
FROM ({timed})"""

BAD_ROWS = pa.schema({"row": pa.int64(), "reason": pa.string(), "content": pa.string()})


@dataclass
class Counted:
    """What was read: all rows (good, bad and not selected), rows that `where` did not select, and files without rows."""

    rows: int = 0
    unselected: int = 0
    empty_files: int = 0
    untimed: bool | None = None
    """Whether the order of the rows is used as time; None before the first row."""
    rounded: bool = False
    """Whether times are stored in a type that rounds them."""

    def note(self, batch: pa.Table, source: InputFile) -> None:
        """Check that a batch has the same columns as those before.

        Raises:
            UserError: some files have a time column and others do not.
        """
        self.agree(untimed := "time" not in batch.schema.names, source)
        self.rounded = self.rounded or (not untimed and is_rounded(batch["time"]))

    def agree(self, untimed: bool, source: InputFile) -> None:
        """Note whether a file has no times.

        Raises:
            UserError: those before differ.
        """
        if self.untimed not in (None, untimed):
            raise UserError(f"{source.path} has {'no' if untimed else 'a'} column 'order', other files differ; rename it there")
        self.untimed = untimed

    def notes(self) -> list[str]:
        """Notes for the user."""
        rounded = "times are floating-point numbers above 2^53, which hold no single nanoseconds; write them as whole numbers"
        return [rounded] if self.rounded else []

    def skip(self, count: int) -> None:
        """Count rows that were not selected."""
        self.rows += count
        self.unselected += count


def no_time(kind: pa.DataType, null_values: Sequence[str]) -> str:
    """SQL: whether the column `time` of a batch holds none. Whole numbers stay numbers: as text they cost as much as all else."""
    if types.is_integer(kind):
        numbers = ", ".join(value for value in null_values if _WHOLE.fullmatch(value)) or "NULL"
        return f"time IS NULL OR time IN ({numbers})"
    markers = ", ".join(quoted(value.lower()) for value in null_values) or "NULL"
    return f"trim(coalesce(time::VARCHAR, '')) = '' OR lower(trim(time::VARCHAR)) IN ({markers})"


class BadRows:
    """Rows that a reader could not parse, to be added to a table of the engine: file, row, reason, content."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows: list[dict[str, object]] = []

    def __call__(self, row: int, reason: str, content: str | None) -> None:
        """Add a row."""
        self.rows.append({"row": row, "reason": reason, "content": content and content[:LONGEST_CONTENT]})

    def flush(self, connection: Connection, file: int) -> int:
        """Move them to the table; return how many there were."""
        count = len(self.rows)
        if count:
            connection.register("batch", pa.Table.from_pylist(self.rows, schema=BAD_ROWS))
            connection.execute(
                f"INSERT INTO {self.table} (file, row, reason, content) SELECT {file}, row, reason, content FROM batch"
            )
            connection.unregister("batch")
            self.rows = []
        return count


def large_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches joined to tables of at least `INSERT_ROWS` rows; the last may have fewer."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        if sum(b.num_rows for b in pending) >= INSERT_ROWS:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)


class TypedRows(NamedTuple):
    """Staged rows of a batch.

    Attributes:
        batch: to be registered in DuckDB as `batch`.
        query: SQL of the rows.
        whole: whether all times are whole numbers.
    """

    batch: pa.Table
    query: str
    whole: bool


def typed_rows(file: int, batch: pa.Table, config: PrepareConfig, columns: Sequence[Declared], before: int) -> TypedRows:
    """The staged rows of a batch.

    Args:
        file: number of the file.
        batch: rows of a reader.
        config: how times are written, and null markers.
        columns: event columns.
        before: rows of the log before the batch.
    """
    times = timed(batch, config, before)
    query = _ROWS.format(
        file=file,
        longest=LONGEST_CONTENT,
        timed=times.query,
        normalised=normalised("text"),
        no_user=_no_id("user_id", batch),
        no_item=_no_id("item_id", batch),
        no_time=no_time(times.batch.schema.field("time").type, config.null_values),
        also=also(columns),
    )
    return TypedRows(times.batch, query, times.whole)


def _no_id(name: str, batch: pa.Table) -> str:
    return f"{name} IS NULL" if types.is_integer(batch.schema.field(name).type) else f"coalesce({name}, '') = ''"
