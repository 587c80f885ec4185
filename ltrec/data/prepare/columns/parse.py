"""Parse the columns of a batch by their kinds. A row with an invalid value is reported and dropped, like any malformed row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds.kind import Parsed
from ltrec.data.prepare.columns.declared import Declared

OnBadRow = Callable[[int, str, str | None], None]

NO_WEIGHT, NEGATIVE = "no weight", "weight below 0"


def parsed(
    batch: pa.RecordBatch, columns: Iterable[Declared], null_values: Sequence[str], source: str, on_bad_row: OnBadRow
) -> pa.RecordBatch:
    """The batch with these columns parsed, without invalid rows.

    Raises:
        UserError: a column whose type cannot hold values of its kind.
    """
    values, wrong = dict(zip(batch.schema.names, batch.columns, strict=True)), pa.array([False] * batch.num_rows, pa.bool_())
    for column in columns:
        raw = _plain(values[column.field])
        found = column.kind.parse(raw, null_values, f"{source}: the column {column.source!r}")
        for reason, misfit in _faults(column, found).items():
            fresh = pc.and_not(misfit, wrong)
            rows, contents = (array.filter(fresh).to_pylist() for array in (batch["row"], raw))
            for row, content in zip(rows, contents, strict=True):
                on_bad_row(row, reason, f"{column.source}={content}")
            wrong = pc.or_(wrong, misfit)
        values[column.field] = found.values
    result = pa.RecordBatch.from_pydict(values)
    return result.filter(pc.invert(wrong)) if pc.any(wrong).as_py() else result


def _faults(column: Declared, found: Parsed) -> dict[str, pa.Array]:
    if not column.is_weight:
        return {f"{column.source}: {reason}": misfit for reason, misfit in found.faults.items()}
    known = {f"weight: {reason}": misfit for reason, misfit in found.faults.items()}
    negative = pc.fill_null(pc.less(found.values, 0), False)
    return {**known, NEGATIVE: negative, NO_WEIGHT: pc.is_null(found.values)}


def _plain(column: pa.Array) -> pa.Array:
    """Without dictionary encoding, and with one type of text."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if types.is_large_string(column.type) or types.is_string_view(column.type) else column
