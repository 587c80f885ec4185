"""Prepare all events like an earlier data set: with its item ids, before those of new items, and its thresholds of strata.

Appending a day to that data set makes the same shards (`data.prepare.append`), and a checkpoint trained on it knows the items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.earlier import EarlierColumns, grow_vocabularies, sizes_of, take_values
from ltrec.data.prepare.columns.side_tables import Tables
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, one_row, quoted
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.users.splits import Cuts, kept_cuts
from ltrec.data.remote.shard_files import check_hash, check_size


@dataclass(frozen=True, slots=True)
class Like:
    """The earlier data set.

    Attributes:
        folder: where it is.
        manifest: its manifest.
        recut: thresholds are cut anew instead.
        columns: its columns, if the new data set has the same; None = values get ids as if there were none.
    """

    folder: Path
    manifest: Manifest
    recut: bool
    columns: EarlierColumns | None = None

    @staticmethod
    def open(folder: Path, columns: Iterable[Declared], *, recut: bool) -> Like:
        """The data set, with its vocabularies checked.

        Args:
            folder: where it is.
            columns: those that are declared.
            recut: thresholds and statistics are those of all events instead.

        Raises:
            UserError: there is none, or it is damaged.
        """
        manifest = Manifest.load(folder)
        for path in (manifest.vocab.path, *(file.path for file in manifest.column_files)):
            size, sha256 = manifest.files()[path]
            check_size(folder / path, size)
            check_hash(folder / path, sha256)
        return Like(folder, manifest, recut, EarlierColumns.of(folder, manifest, columns, recut=recut))

    @property
    def vocabulary(self) -> Path:
        """File of its items."""
        return self.folder / self.manifest.vocab.path

    @property
    def strata(self) -> Strata | None:
        """Its thresholds, unless they are cut anew."""
        return None if self.recut else self.manifest.strata

    def cuts(self, config: PrepareConfig) -> Cuts | None:
        """Its cuts of time, unless they are found anew, or the split is another one."""
        return None if self.recut or config.split != self.manifest.split["kind"] else kept_cuts(self.manifest.split)

    @property
    def step(self) -> dict[str, Any]:
        """Its entry in the lineage: it was not appended to, so no file of it was kept."""
        step = {"digest": self.manifest.digest, "items": self.manifest.vocab.items, "files": 0}
        if self.columns is not None:
            step["columns"] = sizes_of(self.manifest)
        return step | ({"recut": True} if self.recut else {})

    def take_ids(self, engine: Engine, columns: Sequence[Declared], tables: Tables, files: Sequence[Mapping[str, Any]]) -> None:
        """Give its ids to the values of columns.

        Args:
            engine: with the events, before ties are ordered, and the tables.
            columns: of events.
            tables: of items and users.
            files: of the log, as a manifest describes them; a value without an id stays unknown in those that it has.
        """
        if self.columns is None:
            return
        had = {file["sha256"] for file in self.manifest.source["files"]}
        take_values(engine, columns, self.columns, [number for number, file in enumerate(files) if file["sha256"] in had])
        for table in filter(None, (tables.items, tables.users)):
            grow_vocabularies(engine.catalogue, table.columns, self.columns)

    def refuse_missing(self, items: int, connection: Connection) -> None:
        """Compare its items with the table `items`, of which `items` got an id.

        Raises:
            UserError: some of its items do not occur any more, so that ids cannot stay.
        """
        known = f"(SELECT {c.ITEM_ID} AS item_id FROM read_parquet({quoted(self.vocabulary)}))"
        (there,) = one_row(connection, f"SELECT count(*) FROM items SEMI JOIN {known} AS known USING (item_id)")
        if there < self.manifest.vocab.items or items < there:
            raise UserError(
                f"{self.manifest.vocab.items - there} items of {self.folder} are not in these logs, so its ids cannot stay; "
                "name all of its logs, or prepare without --like"
            )
