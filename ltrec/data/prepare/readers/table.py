"""What all readers share: reporting a bad row, finding a column by name, decoding bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.errors import UserError, nearest
from ltrec.data.prepare.readers.dialect import plain_name

OnBadRow = Callable[[int, str, str | None], None]
"""Called with (row number, reason, text of the row or None) for a row that cannot be an event."""

_NUMBERS = re.compile(r"-?[0-9][0-9\s.,;:|-]*")


def find_column(wanted: str, names: Sequence[str], path: Path) -> int:
    """Index of the column called `wanted`, also in a typed header such as ``user_id:token``.

    Raises:
        UserError: there is no such column, or more than one.
    """
    plain = [plain_name(name) for name in names]
    matches = [place for place, name in enumerate(names) if name == wanted] or [p for p, name in enumerate(plain) if name == wanted]
    if not matches:
        hint = nearest(wanted, plain) or _header_hint(plain)
        shown = ", ".join(name if len(name) <= 40 and name.isprintable() else f"{name[:40]!r}..." for name in plain[:30])
        raise UserError(f"{path} has no column {wanted!r}{hint}; it has {shown}{', ...' if len(plain) > 30 else ''}")
    if len(matches) > 1:
        raise UserError(f"{path} has {len(matches)} columns called {wanted!r}")
    return matches[0]


def _header_hint(names: Sequence[str]) -> str:
    """A hint if the names are numbers: then they are the first event of a file without a header."""
    hint = " (no header line? then name the columns: 'columns=[user_id,item_id,timestamp]')"
    return hint if any(_NUMBERS.fullmatch(name) for name in names) else ""


def as_text(batch: pa.RecordBatch, on_bad_row: OnBadRow) -> pa.RecordBatch:
    """The batch with columns of bytes decoded to text; rows that are not UTF-8 are reported and left out."""
    kept = [True] * batch.num_rows
    texts: dict[str, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        texts[name] = _decode(column, name, batch["row"], kept, on_bad_row) if column.type == pa.binary() else column
    result = pa.RecordBatch.from_pydict(texts)
    return result if all(kept) else result.filter(pa.array(kept))


def _decode(column: pa.Array, name: str, rows: pa.Array, kept: list[bool], on_bad_row: OnBadRow) -> pa.Array:
    """Decode bytes; a row that was reported before is not reported again."""
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for index, (row, value) in enumerate(zip(rows.to_pylist(), column.to_pylist(), strict=True)):
            try:
                texts.append(None if value is None else value.decode("utf-8"))
            except UnicodeDecodeError:
                if kept[index]:
                    on_bad_row(row, f"{name} is not UTF-8", repr(value))
                kept[index] = False
                texts.append(None)
        return pa.array(texts, pa.string())


def repeated(values: Mapping[str, str | None], count: int) -> dict[str, pa.Array]:
    """Text columns with a single value each, given by the folder names of a file."""
    return {name: pa.array([value], pa.string()).take(pa.array([0] * count, pa.int8())) for name, value in values.items()}
