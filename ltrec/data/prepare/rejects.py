"""Rejected rows: counted, written to a file for inspection; too many of them stop prepare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path
from ltrec.data.prepare.database import Connection
from ltrec.data.prepare.output.entries import named_entry
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.readers.text import STRAY_QUOTE
from ltrec.data.schema import OVER_BUDGET

FOLDER, STEM = "_rejects", "rejects"
"""Name of files with all rejects of a data set; a hash is added to it. If prepare stops, rejects go to another file."""

MOST_PLACES = 3

_REMEDIES = {
    STRAY_QUOTE: "say `quoting`=none if quotes are plain characters here, or `quoting`=multiline if texts span several lines",
}
"""Reason -> what to do about it, if it is more than "fix the log"."""


@dataclass(frozen=True, slots=True)
class Rejects:
    """Rejected rows of the log, or of a table beside it.

    Attributes:
        rows: SQL, a relation of file (its number), row, reason and content.
        sources: the files.
        by_reason: how many there are.
        table: `items` or `users`; empty = they are of the log.
    """

    rows: str
    sources: Sequence[InputFile]
    by_reason: dict[str, int]
    table: str = ""

    @property
    def count(self) -> int:
        """Rows in all."""
        return sum(self.by_reason.values())


def keep(connection: Connection, found: Rejects, work: Path) -> dict[str, Any] | None:
    """Write all rejects, in source order, to a file of the data set; return its entry in the manifest. None if there are none."""
    if not found.count:
        return None
    temporary = work / FOLDER / f"{'-'.join(filter(None, (STEM, found.table)))}.tmp"
    _write(connection, found, temporary)
    return named_entry(temporary, work)


def _write(connection: Connection, found: Rejects, path: Path) -> None:
    labels = [source.label for source in found.sources]
    connection.register("labels", pa.table({"number": range(len(labels)), "label": labels}))
    reader = connection.sql(
        f"SELECT label AS file, row, reason, content FROM ({found.rows}) AS rejected JOIN labels ON rejected.file = labels.number"
        " ORDER BY labels.number, row, reason"
    ).to_arrow_reader(1 << 16)
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, reader.schema, compression="zstd", write_page_checksum=True) as file,
    ):
        for batch in reader:
            file.write_batch(batch)
    connection.unregister("labels")


def check_budget(connection: Connection, found: Rejects, rows: int, budget: float, out: Path, left: int | None = None) -> None:
    """Stop if the share of rejected rows exceeds the budget, or no row is `left`.

    Raises:
        UserError: over budget, or nothing is left; names reasons, the first rows of each, and the file in `out` with all of them.
    """
    if found.count > budget * rows or (found.count and left == 0):
        kept_at = out / OVER_BUDGET
        _write(connection, found, kept_at)
        common = sorted(found.by_reason, key=lambda reason: (-found.by_reason[reason], reason))[:4]
        reasons = ", ".join(f"{found.by_reason[reason]} x {reason}{_places(kept_at, reason)}" for reason in common)
        what, which = ("log", "") if not found.table else ("table", f" of `{found.table}`")
        fix = f"fix the {what}" + (" or raise `reject_budget`" if left != 0 else ", of which no row is left")
        remedy = "; ".join([*(_REMEDIES[reason] for reason in common if reason in _REMEDIES), fix])
        share = f"{found.count} of {rows} rows{which} rejected ({found.count / rows:.2%}, budget {budget:.2%})"
        raise UserError(f"{share}: {reasons}; see {kept_at}, then {remedy}")


def _places(kept_at: Path, reason: str) -> str:
    """File and row of the first rejects with a reason."""
    found = ds.dataset(kept_at).head(MOST_PLACES + 1, columns=["file", "row"], filter=ds.field("reason") == reason).to_pylist()
    shown = ", ".join(f"{place['file']}:{place['row']}" for place in found[:MOST_PLACES])
    return f" ({shown}{', ...' if len(found) > MOST_PLACES else ''})"
