"""What all readers share: the shape of a batch, finding a column by name, ids as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.errors import UserError, nearest
from ltrec.data.prepare.config import PrepareConfig

OnFault = Callable[[int, str, str | None], None]
"""Called with (row number, reason, text of the row or None) for a row that cannot be an event."""


def wanted_columns(config: PrepareConfig) -> dict[str, str]:
    """Name in the batch -> name asked for."""
    return {"user_id": config.user, "item_id": config.item, "time": config.time}


def find_column(wanted: str, names: Sequence[str], path: Path) -> str:
    """The column called `wanted`, also under a typed header such as ``user_id:token``.

    Raises:
        UserError: no such column, or several.
    """
    plain = [name.split(":")[0].strip() for name in names]
    matches = [name for name in names if name == wanted] or [n for n, p in zip(names, plain, strict=True) if p == wanted]
    if not matches:
        raise UserError(f"{path} has no column {wanted!r}{nearest(wanted, plain)}; it has {', '.join(plain)}")
    if len(matches) > 1:
        raise UserError(f"{path} has {len(matches)} columns called {wanted!r}")
    return matches[0]


def decode(column: pa.Array, rows: pa.Array, what: str, on_fault: OnFault) -> tuple[pa.Array, list[bool] | None]:
    """Bytes to text, and which rows to keep (None = all); undecodable ones are reported."""
    try:
        return pc.cast(column, pa.string()), None
    except pa.ArrowInvalid:
        keep, texts = [], []
        for row, value in zip(rows.to_pylist(), column.to_pylist(), strict=True):
            try:
                texts.append(None if value is None else value.decode("utf-8"))
                keep.append(True)
            except UnicodeDecodeError:
                on_fault(row, f"{what} is not UTF-8", repr(value))
                texts.append(None)
                keep.append(False)
        return pa.array(texts, pa.string()), keep


def batch_of_text(rows: pa.Array, columns: dict[str, pa.Array], on_fault: OnFault) -> pa.RecordBatch:
    """A batch of byte columns as text, without the rows that are not UTF-8."""
    kept = [True] * len(rows)
    texts = {}
    for name, column in columns.items():
        texts[name], keep = decode(column, rows, name, on_fault)
        if keep is not None:
            kept = [a and b for a, b in zip(kept, keep, strict=True)]
    batch = pa.RecordBatch.from_pydict({"row": rows, **texts})
    return batch if all(kept) else batch.filter(pa.array(kept))
