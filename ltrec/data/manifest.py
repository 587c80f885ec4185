"""The manifest: what a prepared data set is, in one JSON file that is written last. Without it there is no data set.

Its digest names the data everywhere: in checkpoints, results and comparisons. The file holds the digest of its own canonical text,
so a flipped byte anywhere in it is found at load.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltrec.core.errors import UserError
from ltrec.core.files import atomic_write_text, canonical_json
from ltrec.core.strata import Strata
from ltrec.data.schema import FORMAT_VERSION

MANIFEST = "manifest.json"
MEND = "prepare the data again with --overwrite"
"""The way out of every damage to a prepared data set."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file: `rows` users of one stratum (-1: none); `trainable` rows have at least two training events."""

    path: str
    stratum: int
    trainable: bool
    bytes: int
    sha256: str
    rows: int
    events: int


@dataclass(frozen=True, slots=True)
class Vocab:
    """The item vocabulary file; ids run from 1 to `items`, 0 is padding."""

    path: str
    items: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A prepared data set.

    Attributes:
        name: what the user calls it.
        created_by: versions of the tools that wrote it.
        source: input files (path, bytes, sha256), column names and the tie-break rule.
        options: every option of prepare, as given.
        split: kind of split and its realised cuts.
        summary: counts of what happened to the events (read, rejected, duplicates, filtered, capped, ...).
        strata: the activity strata.
        vocab: the item vocabulary.
        block_rows: rows of every row group but the last of a shard.
        shards: all shard files, ordered by path.
    """

    name: str
    created_by: dict[str, str]
    source: dict[str, Any]
    options: dict[str, Any]
    split: dict[str, Any]
    summary: dict[str, Any]
    strata: Strata
    vocab: Vocab
    block_rows: int
    shards: tuple[Shard, ...]
    format_version: int = FORMAT_VERSION

    @property
    def digest(self) -> str:
        """Hex sha256 of the canonical text: the identity of the data."""
        return _digest(json.loads(json.dumps(asdict(self))))

    def files(self) -> dict[str, tuple[int, str]]:
        """Path below the folder -> (bytes, sha256) of every file of the data set."""
        named = {self.vocab.path: (self.vocab.bytes, self.vocab.sha256)}
        named |= {shard.path: (shard.bytes, shard.sha256) for shard in self.shards}
        if rejects := self.summary.get("rejects_file"):
            named[rejects["path"]] = (rejects["bytes"], rejects["sha256"])
        return named

    @property
    def train_rows(self) -> int:
        """Users that can be trained on."""
        return sum(s.rows for s in self.shards if s.trainable)

    @property
    def trainable_K(self) -> tuple[int, ...]:
        """Users of each stratum that can be trained on: with two training events or more, the second is a target."""
        return tuple(sum(s.rows for s in self.shards if s.trainable and s.stratum == z) for z in range(self.strata.count))

    def save(self, folder: Path) -> None:
        """Commit the data set: write the manifest atomically. Everything it names must already be in place."""
        body = json.loads(json.dumps(asdict(self)))
        atomic_write_text(folder / MANIFEST, canonical_json({**body, "digest": _digest(body)}))

    @staticmethod
    def load(folder: Path) -> Manifest:
        """Read and check a manifest.

        Raises:
            UserError: when it is missing, damaged, or of another format version.
        """
        path = folder / MANIFEST
        try:
            text = path.read_bytes().decode("utf-8")
            body = json.loads(text)
            written = body.pop("digest")
            intact = written == _digest(body) and text == canonical_json({**body, "digest": written})
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{path} not found: {folder} is no prepared data set; make one with 'ltrec prepare'") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            intact = False
        if not intact:
            raise UserError(f"{path} is damaged: its contents do not match its digest; {MEND}")
        if body["format_version"] != FORMAT_VERSION:
            raise UserError(f"{path} has format version {body['format_version']}, this ltrec reads {FORMAT_VERSION}; {MEND}")
        strata: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in body.pop("strata").items()}
        return Manifest(
            strata=Strata(**strata), vocab=Vocab(**body.pop("vocab")), shards=tuple(Shard(**s) for s in body.pop("shards")), **body
        )


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(body).encode("utf-8")).hexdigest()
