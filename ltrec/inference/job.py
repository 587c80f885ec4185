"""A job of predictions, in its folder: shards that are whole, and a commit.

DIR/part-00000.parquet ...     the answer
DIR/predictions.json           what was asked, and what was counted; written last: without it the answer is not complete
DIR/.predicting/               while the job runs, or after it was killed: job.json, and the shards that are done

The same job resumes after its finished shards; another one is refused, unless it may overwrite.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path, atomic_write_text, fsync_folder
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.whole_folder import FolderKind
from ltrec.inference.counts import Counts

COMMIT, WORK, PARTS = "predictions.json", ".predicting", "part-*.parquet"
PREDICTED = FolderKind(COMMIT, "predictions", "no predictions", (PARTS,))
_COUNTS = b"ltrec.counts"
_ROW_GROUP = 1 << 14


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """One job.

    Attributes:
        out: its folder.
        asked: all that its answer depends on, as JSON values.
        shards: how many there are.
    """

    out: Path
    asked: dict[str, Any]
    shards: int

    @property
    def work(self) -> Path:
        """Working folder."""
        return self.out / WORK

    def part(self, shard: int) -> Path:
        """Path of a shard while the job runs."""
        return self.work / f"part-{shard:05}.parquet"

    def begin(self, *, overwrite: bool) -> bool:
        """Prepare the folder; True if the complete answer already exists.

        Raises:
            UserError: another job's answer, or its shards, are in the folder.
        """
        begun, answer = _read(self.work / "job.json"), _read(self.out / COMMIT)
        if begun is not None and begun.get("asked") == self.asked:
            return False
        if begun is None and answer is not None and answer.get("asked") == self.asked and self._all_there() and not overwrite:
            return True
        if not overwrite and (begun is not None or answer is not None or any(self.out.glob(PARTS))):
            other = _difference(answer if begun is None else begun, self.asked)
            raise UserError(f"{self.out} holds other predictions{other}; name another --out, or replace them with --overwrite")
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        atomic_write_text(self.work / "job.json", canonical_json({"asked": self.asked}))
        return False

    def is_done(self, shard: int) -> bool:
        """Whether a shard is whole."""
        return self.part(shard).exists() or self._moving()

    def write(self, shard: int, rows: Any, counts: Counts) -> None:
        """Write a shard, whole or not at all."""
        rows = rows.replace_schema_metadata({_COUNTS: json.dumps(counts.to_dict())})
        with atomic_path(self.part(shard)) as temporary:
            pq.write_table(rows, temporary, row_group_size=_ROW_GROUP, compression="zstd", write_page_checksum=True)

    def commit(self) -> Counts:
        """Move all shards to their final place, replacing earlier ones."""
        if not self._moving():
            counts = sum((self._counts(shard) for shard in range(self.shards)), Counts())
            body = {"asked": self.asked, "counts": counts.to_dict(), "shards": self.shards}
            atomic_write_text(self.work / COMMIT, canonical_json(body))
        (self.out / COMMIT).unlink(missing_ok=True)
        own = {self.part(shard).name for shard in range(self.shards)}
        for old in self.out.glob(PARTS):
            if old.name not in own:
                old.unlink()
        for shard in range(self.shards):
            if self.part(shard).exists():
                os.replace(self.part(shard), self.out / self.part(shard).name)
        os.replace(self.work / COMMIT, self.out / COMMIT)
        fsync_folder(self.out)
        shutil.rmtree(self.work)
        return self.counts()

    def counts(self) -> Counts:
        """Counts of a complete answer."""
        return Counts(**json.loads((self.out / COMMIT).read_text(encoding="utf-8"))["counts"])

    def abandon(self) -> None:
        """Remove a job whose histories are invalid."""
        shutil.rmtree(self.work, ignore_errors=True)
        if self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()

    def _moving(self) -> bool:
        """Whether all shards were whole, and the job was killed while it moved them."""
        return (self.work / COMMIT).exists()

    def _all_there(self) -> bool:
        return all((self.out / self.part(shard).name).exists() for shard in range(self.shards))

    def _counts(self, shard: int) -> Counts:
        return Counts(**json.loads(pq.read_schema(self.part(shard)).metadata[_COUNTS]))


def _read(file: Path) -> dict[str, Any] | None:
    """The values of a file; None if it is missing, empty if it is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _difference(found: dict[str, Any] | None, asked: dict[str, Any]) -> str:
    """The first difference, as text."""
    had = (found or {}).get("asked")
    if not isinstance(had, dict):
        return ""
    for key, value in asked.items():
        if had.get(key) != value:
            plain = not isinstance(value, dict | list) and not isinstance(had.get(key), dict | list)
            return f": of another {key}, {had.get(key)} instead of {value}" if plain else f": of other {key}"
    return ""
