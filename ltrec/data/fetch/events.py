"""An event log on disk: `OUT/events.parquet` with `user_id, item_id, timestamp` in source order, and `OUT/NOTICE.txt`.

Rows keep the order of their source, because time stamps tie and the order decides what came first.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path, atomic_write_text

EVENTS = "events.parquet"
NOTICE = "NOTICE.txt"

EVENT_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),  # seconds since the epoch
    ]
)


def table_digest(events: pa.Table) -> str:
    """Hex sha256 of the rows as ``user<TAB>item<TAB>seconds<LF>`` lines in their order: the same for every file format."""
    columns = (events[name].to_pylist() for name in EVENT_SCHEMA.names)
    lines = "".join(f"{user}\t{item}\t{seconds}\n" for user, item, seconds in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def write_events(events: pa.Table, notice: str, out: Path) -> Path:
    """Write the notice, then the events, each atomically; returns the path of the events.

    Raises:
        UserError: when the folder cannot be written (permission, full disk, a file in the way).
    """
    try:
        atomic_write_text(out / NOTICE, notice)
        with atomic_path(out / EVENTS) as temporary:
            pq.write_table(events, temporary, compression="zstd", write_page_checksum=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}; choose another folder with --out") from error
    return out / EVENTS
