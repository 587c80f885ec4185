"""Recommendations, as `ltrec.predict` returns them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError
from ltrec.inference.counts import Counts
from ltrec.inference.job import PARTS

SHARD_USERS = 65_536


@dataclass(frozen=True, slots=True)
class Predictions(os.PathLike[str]):
    """Recommendations, in a file or a folder. They are accepted wherever a path or an Arrow table is.

    Attributes:
        path: for the users of the data set a Parquet file: user_id, rank (1 = best), item_id, score. For given histories a
            folder of them, a row per user: user, items, scores, stratum, source. Text, if it is an address.
        rows: recommendations in it.
        k: most for one user.
        checkpoint: whose they are.
        counts: what was found in the given histories; None without any.
    """

    path: Path | str
    rows: int
    k: int
    checkpoint: Path
    counts: Counts | None = None

    def __fspath__(self) -> str:
        """The file, or the folder."""
        return str(self.path)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows, for any library that reads Arrow streams."""
        return self.table().__arrow_c_stream__(requested_schema)

    def table(self) -> pa.Table:
        """The rows.

        Raises:
            UserError: they are in a store.
        """
        if isinstance(self.path, str):
            raise UserError(f"{self.path} is in a store; copy it to a disk to read it")
        files = sorted(self.path.glob(PARTS)) if self.path.is_dir() else [self.path]
        return pa.concat_tables(pq.ParquetFile(file).read().replace_schema_metadata() for file in files)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        found = {"predictions": str(self.path), "rows": self.rows, "k": self.k, "checkpoint": str(self.checkpoint)}
        return found if self.counts is None else {**found, "counts": self.counts.to_dict()}
