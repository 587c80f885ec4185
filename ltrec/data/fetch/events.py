"""An event log on disk: `OUT/events.parquet` with `user_id, item_id, timestamp` and perhaps further columns in source order,
`OUT/NOTICE.txt`, and, where the source knows something of items or users, `OUT/items.parquet` (by `item_id`) and
`OUT/users.parquet` (by `user_id`).

Rows keep the order of their source, because times may be equal and the order then determines which event came first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path, atomic_write_text

EVENTS, ITEMS, USERS = "events.parquet", "items.parquet", "users.parquet"
NOTICE = "NOTICE.txt"

EVENT_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),  # seconds since the epoch
    ]
)


def table_digest(table: pa.Table) -> str:
    """Hex sha256 of the rows as text with tabs (``user<TAB>item<TAB>seconds<LF>``), in their order: the same for every
    file format. The values of a list are separated by blanks; a missing value is empty."""
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    lines = "".join("\t".join(map(_text, row)) + "\n" for row in rows)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def write_log(tables: Mapping[str, pa.Table], notice: str, out: Path) -> Path:
    """Write the notice, then the tables by file name, the events last, each atomically; returns the folder.

    Raises:
        UserError: the folder cannot be written (permission, full disk, a file in the way).
    """
    try:
        atomic_write_text(out / NOTICE, notice)
        for name in sorted(tables, key=lambda name: name == EVENTS):
            with atomic_path(out / name) as temporary:
                pq.write_table(tables[name], temporary, compression="zstd", write_page_checksum=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}; choose another folder with --out") from error
    return out
