"""Prepare all events like an earlier data set: with its item ids, before those of new items, and its thresholds of strata.

Appending a day to that data set makes the same shards (`data.prepare.append`), and a checkpoint trained on it knows the items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.database import Connection, one_row, quoted
from ltrec.data.remote.shard_files import check_hash, check_size


@dataclass(frozen=True, slots=True)
class Like:
    """The earlier data set.

    Attributes:
        folder: where it is.
        manifest: its manifest.
        recut: thresholds are cut anew instead.
    """

    folder: Path
    manifest: Manifest
    recut: bool

    @staticmethod
    def open(folder: Path, *, recut: bool) -> Like:
        """The data set, with its vocabulary checked.

        Raises:
            UserError: there is none, or it is damaged.
        """
        manifest = Manifest.load(folder)
        check_size(folder / manifest.vocab.path, manifest.vocab.bytes)
        check_hash(folder / manifest.vocab.path, manifest.vocab.sha256)
        return Like(folder, manifest, recut)

    @property
    def vocabulary(self) -> Path:
        """File of its items."""
        return self.folder / self.manifest.vocab.path

    @property
    def strata(self) -> Strata | None:
        """Its thresholds, unless they are cut anew."""
        return None if self.recut else self.manifest.strata

    @property
    def step(self) -> dict[str, Any]:
        """Its entry in the lineage: it was not appended to, so no file of it was kept."""
        step = {"digest": self.manifest.digest, "items": self.manifest.vocab.items, "files": 0}
        return step | ({"recut": True} if self.recut else {})

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
