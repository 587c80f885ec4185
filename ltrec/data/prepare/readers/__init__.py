"""Readers: one event log file to Arrow batches of (row, user_id, item_id, time), in file order, in bounded memory.

A format consists of two functions: one for the columns of a file, one to read some of them. What all formats share is here: finding
the requested columns (also in folder names such as ``event=view``), `where`, and ids in canonical form.

Every row of a file is returned, or reported to `on_bad_row` with its number and a reason, or counted as not selected. `row` is the
record's number: from 1 in Parquet, the line in text files (a header is line 1; empty lines are not rows). A file that cannot be
read as a whole (truncated, a missing column) raises UserError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.errors import UserError, first_line
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.parse import parsed
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.dialect import plain_name
from ltrec.data.prepare.readers.ids import canonical
from ltrec.data.prepare.readers.json_lines import json_names, read_json_lines
from ltrec.data.prepare.readers.parquet import parquet_names, read_parquet
from ltrec.data.prepare.readers.sequences import read_sequences, sequence_names
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.readers.table import OnBadRow, as_text, find_column, repeated
from ltrec.data.prepare.readers.text import read_text, text_names
from ltrec.data.prepare.readers.where import Where

SELECTED = "where: "
"""Prefix, within a batch, of columns that only `where` reads."""


class Names(Protocol):
    """The columns of a file, in order; none when it has no rows and no header."""

    def __call__(self, source: InputFile, config: PrepareConfig) -> Sequence[str]:
        """Read the names from one file."""
        ...


class Read(Protocol):
    """Yield batches of a column `row` (int64) and those in `chosen`: name in the batch -> index in the file's `names`."""

    def __call__(
        self, source: InputFile, config: PrepareConfig, names: Sequence[str], chosen: Mapping[str, int], on_bad_row: OnBadRow
    ) -> Iterator[pa.RecordBatch]:
        """Read one file."""
        ...


class Format(NamedTuple):
    """A file format."""

    names: Names
    read: Read


FORMATS: dict[str, Format] = {
    "csv": Format(text_names, read_text),
    "tsv": Format(text_names, read_text),
    "jsonl": Format(json_names, read_json_lines),
    "sequences": Format(sequence_names, read_sequences),
    "parquet": Format(parquet_names, read_parquet),
}


def read(
    source: InputFile,
    config: PrepareConfig,
    columns: Sequence[Declared],
    where: Where | None,
    on_bad_row: OnBadRow,
    on_unselected: Callable[[int], None],
) -> Iterator[pa.RecordBatch]:
    """Batches of one source: row (int64), user_id, item_id (text or int64), time (text, number or timestamp; left out where the
    order of the log is the time), and the event columns as their kinds parse them; all but `row` are nullable.

    Raises:
        UserError: the file is damaged, or lacks a requested column.
    """
    try:
        if source.path.stat().st_size == 0:
            return
        file_format = FORMATS[source.format]
        names = file_format.names(source, config)
        if not names:
            return
        chosen, constant = _find(_wanted_columns(config, columns, where, names, source), names, source)
        for raw in file_format.read(source, config, names, chosen, on_bad_row):
            batch = as_text(_with_constants(raw, constant), on_bad_row)
            batch = _events(batch if where is None else _selected(batch, where, config, on_bad_row, on_unselected), config)
            yield parsed(batch, columns, config.null_values, str(source.path), on_bad_row) if columns else batch
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source.path} cannot be read as {source.format}: {first_line(error)}") from error


def read_table(
    source: InputFile, config: PrepareConfig, key: str, field: str, columns: Sequence[Declared], on_bad_row: OnBadRow
) -> Iterator[pa.RecordBatch]:
    """Batches of a table of items or users: row (int64), `field` (text, nullable), and the columns as their kinds parse them.

    Args:
        source: one file.
        config: its null markers count, not how the log is written.
        key: the file's column with the id.
        field: what the batch calls it.
        columns: those of the table.
        on_bad_row: called for a row that does not fit.

    Raises:
        UserError: the file is damaged, or lacks a requested column.
    """
    other = columns[0].source if columns[0].source != key else f"{key}-"
    own = PrepareConfig(user=key, item=other, time=f"{key}-{other}", null_values=config.null_values)  # a table has no times
    try:
        file_format = FORMATS[source.format]
        names = file_format.names(source, own)
        if not names:
            return
        chosen, constant = _find({field: key, **{column.field: column.source for column in columns}}, names, source)
        for raw in file_format.read(source, own, names, chosen, on_bad_row):
            batch = as_text(_with_constants(raw, constant), on_bad_row)
            values = dict(zip(batch.schema.names, batch.columns, strict=True))
            ids = canonical(values[field], config.null_values).cast(pa.string())
            batch = pa.RecordBatch.from_pydict(values | {field: ids})
            yield parsed(batch, columns, config.null_values, str(source.path), on_bad_row)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source.path} cannot be read as {source.format}: {first_line(error)}") from error


def _wanted_columns(
    config: PrepareConfig, columns: Sequence[Declared], where: Where | None, names: Sequence[str], source: InputFile
) -> dict[str, str]:
    """Name in the batch -> the user's name of the column."""
    wanted = {"user_id": config.user, "item_id": config.item}
    known = [plain_name(name) for name in names]
    if config.time != "order" or "order" in known:
        wanted["time"] = config.time
    wanted |= {column.field: column.source for column in columns}
    if where is not None:
        wanted |= {SELECTED + name: name for name in where.bind([*known, *source.partition])}
    return wanted


def _find(wanted: Mapping[str, str], names: Sequence[str], source: InputFile) -> tuple[dict[str, int], dict[str, str | None]]:
    """Columns by their index in the file, and those given by a folder name, by their value."""
    known = {plain_name(name) for name in names}
    constant = {name: source.partition[a] for name, a in wanted.items() if a not in known and a in source.partition}
    return {name: find_column(a, names, source.path) for name, a in wanted.items() if name not in constant}, constant


def _with_constants(batch: pa.RecordBatch, constant: Mapping[str, str | None]) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return pa.RecordBatch.from_pydict(columns | repeated(constant, batch.num_rows)) if constant else batch


def _selected(
    batch: pa.RecordBatch, where: Where, config: PrepareConfig, on_bad_row: OnBadRow, on_unselected: Callable[[int], None]
) -> pa.RecordBatch:
    """The rows that `where` selects, without its columns."""
    own = [name for name in batch.schema.names if not name.startswith(SELECTED)]
    looked_at = {name: batch[SELECTED + name] for name in where.names or ()}
    selected, misfits = where(pa.RecordBatch.from_pydict({"row": batch["row"], **looked_at}), config.null_values)
    wrong = pa.array([False] * batch.num_rows, pa.bool_())
    for name, misfit in misfits.items():
        for row, value in zip(batch["row"].filter(misfit).to_pylist(), looked_at[name].filter(misfit).to_pylist(), strict=True):
            on_bad_row(row, f"{name} is no {where.type_of(name)}", f"{name}={value}")
        wrong = pc.or_(wrong, misfit)
    on_unselected(int(pc.sum(pc.invert(pc.or_(selected, wrong))).as_py() or 0))
    return batch.select(own).filter(pc.and_not(selected, wrong))


def _events(batch: pa.RecordBatch, config: PrepareConfig) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return pa.RecordBatch.from_pydict(
        columns | {name: canonical(columns[name], config.null_values) for name in ("user_id", "item_id")}
    )


__all__ = ["FORMATS", "Format", "OnBadRow", "Where", "read"]
