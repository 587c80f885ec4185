"""The manifest: the JSON file that describes a prepared data set. It is written last; without it there is no data set.

Its digest identifies the data in checkpoints, results and comparisons. The file also contains the digest of its own canonical text,
so a flipped byte anywhere in it is detected when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from ltrec.columns.schema import NO_COLUMNS, Schema
from ltrec.core.bounds import INT32, INT64, Between, check_fields, shown
from ltrec.core.columns import NO_STRATUM
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text, refuse_special
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.typed import construct
from ltrec.core.strata import Strata
from ltrec.data.manifest_parts import MEND as MEND
from ltrec.data.manifest_parts import Options, PrepareSummary, Section, Source, Split
from ltrec.data.schema import COLUMNS_VERSION, FORMAT_VERSION, LAYERS_VERSION

MANIFEST = "manifest.json"
ENGINE = "engine"
"""Key of the engine in the file, beside the digest."""
LARGEST_BYTES = 1 << 28
"""More than any manifest has."""

_LEAST_BYTES_PER_USER = 4  # a lower bound on the compressed size of sorted hashes


@dataclass(frozen=True, slots=True)
class Shard:
    """`rows` users of one stratum (-1: none); `trainable` rows have at least two training events. One Parquet file, or, in a data
    set that was appended to, a list (`path`) of rows of several: numbers in `Manifest.layers`."""

    path: str
    stratum: Annotated[int, Between(NO_STRATUM, 99)]
    trainable: bool
    bytes: Annotated[int, Between(0, INT64)]
    sha256: str
    rows: Annotated[int, Between(0, INT64)]
    events: Annotated[int, Between(0, INT64)]
    layers: tuple[Annotated[int, Between(0, INT32)], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Layer:
    """A Parquet file of users from which shards take rows; row groups of `block_rows`. A row that no shard takes is superseded."""

    path: str
    bytes: Annotated[int, Between(0, INT64)]
    sha256: str
    rows: Annotated[int, Between(0, INT64)]
    block_rows: Annotated[int, Between(1, INT32)]

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Vocab:
    """The item vocabulary file; ids run from 1 to `items`, 0 is padding."""

    path: str
    items: Annotated[int, Between(0, INT32)]
    bytes: Annotated[int, Between(0, INT64)]
    sha256: str

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ColumnFile:
    """A file that columns need besides the shards: the table of items, or the values of a categorical."""

    path: str
    bytes: Annotated[int, Between(0, INT64)]
    sha256: str

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A prepared data set.

    Attributes:
        name: given by the user.
        created_by: versions of the tools that wrote it.
        source: input files (path, bytes, sha256), column names and the tie-break rule.
        options: the options of prepare.
        split: kind of split and its cuts.
        summary: counts of what happened to the events (read, rejected, duplicates, filtered, capped, ...).
        strata: the activity strata.
        vocab: the item vocabulary.
        block_rows: rows of every row group but the last of a shard.
        shards: all shard files, ordered by path.
        format_version: 1 without columns, 2 with columns, 3 with layers.
        columns: of events, items and users; absent from the file if there are none.
        column_files: files of these columns, the table of items first, if there is one.
        layers: files of rows that shards are put together from; absent from the file if there are none.
        made_by: the engine that sorted the log, with its version; empty = DuckDB. Not in the digest: the files are the same.
    """

    name: str
    created_by: dict[str, str]
    source: Annotated[dict[str, Any], Source]
    options: Annotated[dict[str, Any], Options]
    split: Annotated[dict[str, Any], Split]
    summary: Annotated[dict[str, Any], PrepareSummary]
    strata: Strata
    vocab: Vocab
    block_rows: Annotated[int, Between(1, INT32)]
    shards: tuple[Shard, ...]
    format_version: int = FORMAT_VERSION
    columns: Schema = NO_COLUMNS
    column_files: tuple[ColumnFile, ...] = ()
    layers: tuple[Layer, ...] = ()
    made_by: str = ""
    _digest: list[str] = field(default_factory=list, init=False, repr=False, compare=False)  # computed once

    def __post_init__(self) -> None:
        check_fields(self)
        if self.format_version != version_of(self.columns, self.layers):
            have = f"{'' if self.columns else 'no '}columns and {'' if self.layers else 'no '}layers"
            raise ValueError(f"format_version is {self.format_version}, but the data set has {have}")
        if len(paths := self.files()) < 1 + len(self.shards) + len(self.column_files) + len(self.layers):
            raise ValueError("two entries have the same file")
        for path in paths:
            _refuse_outside(path)
        for shard in self.shards:
            if shard.stratum >= self.strata.count or (shard.trainable and shard.stratum == NO_STRATUM):
                raise ValueError(f"{shard.path!r} has stratum {shard.stratum}, which does not exist")
            if any(number >= len(self.layers) for number in shard.layers):
                raise ValueError(f"{shard.path!r} has layers {list(shard.layers)}, of {len(self.layers)}")
        if (reach := self.summary.get("reach")) and len(reach["valid"]) != self.strata.count:
            raise ValueError(f"summary.reach.valid has {len(reach['valid'])} rows for {self.strata.count} strata")
        for column in self.columns:
            if column.file and column.file not in paths:
                raise ValueError(
                    f"the values of column {column.name!r} are in {column.file!r}, which is not a file of the data set"
                )

    @property
    def digest(self) -> str:
        """Hex sha256 of the canonical text, which identifies the data."""
        if not self._digest:
            self._digest.append(digest_of(self._body()))
        return self._digest[0]

    @property
    def item_table(self) -> ColumnFile | None:
        """The file of the item columns; None without any."""
        return self.column_files[0] if self.columns.of("item") else None

    def files(self) -> dict[str, tuple[int, str]]:
        """Path relative to the folder -> (bytes, sha256), for every file of the data set."""
        named = {self.vocab.path: (self.vocab.bytes, self.vocab.sha256)}
        named |= {shard.path: (shard.bytes, shard.sha256) for shard in self.shards}
        named |= {layer.path: (layer.bytes, layer.sha256) for layer in self.layers}
        named |= {file.path: (file.bytes, file.sha256) for file in self.column_files}
        counted = [self.summary, *(self.summary.get(name) or {} for name in ("item_table", "user_table"))]
        for file in filter(None, (*(part.get("rejects_file") for part in counted), self.summary.get("reach"))):
            named[file["path"]] = (file["bytes"], file["sha256"])
        return named

    @property
    def row_files(self) -> tuple[Shard | Layer, ...]:
        """The files that hold users, or lists of them."""
        return (*self.shards, *self.layers)

    def row_groups(self, shard: Shard) -> int:
        """Number of row groups of a shard."""
        return -(-shard.rows // self.block_rows)

    @property
    def targets(self) -> dict[str, tuple[int, ...]]:
        """Event column -> ids of the values of which an event must have one to be a target; empty: every event is one."""
        return {name: tuple(ids) for name, ids in (self.split.get("targets") or {}).items()}

    @property
    def lineage(self) -> tuple[dict[str, Any], ...]:
        """What this data set goes back to, the oldest first: see `Ancestor`. If there is any, item ids are not in the order of
        popularity."""
        return tuple(self.source.get("lineage") or ())

    @property
    def train_rows(self) -> int:
        """Number of users that can be trained on."""
        return sum(s.rows for s in self.shards if s.trainable)

    @property
    def trainable_K(self) -> tuple[int, ...]:
        """Number of users of each stratum that can be trained on: those with at least two training events, of which the second is a
        target."""
        return tuple(sum(s.rows for s in self.shards if s.trainable and s.stratum == z) for z in range(self.strata.count))

    def save(self, folder: Path) -> None:
        """Commit the data set by writing the manifest atomically. All files that it names must already be in place."""
        body = self._body()
        written = {**body, "digest": digest_of(body)}
        if self.made_by:
            written[ENGINE] = {"made_by": self.made_by, "sha256": digest_of({"digest": written["digest"], "made_by": self.made_by})}
        atomic_write_text(folder / MANIFEST, canonical_json(written))

    def _body(self) -> dict[str, Any]:
        """The contents of the file. Without columns the keys for them are left out, so that the digest is the one of format 1."""
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del body["_digest"], body["made_by"]
        for shard in body["shards"]:
            if not shard["layers"]:
                del shard["layers"]
        absent = [*(() if self.columns else ("columns", "column_files")), *(() if self.layers else ("layers",))]
        return {key: value for key, value in body.items() if key not in absent}

    @staticmethod
    def load(folder: Path) -> Manifest:
        """Read and check a manifest.

        Raises:
            UserError: it is missing, damaged, or has another format version.
        """
        path = folder / MANIFEST
        try:
            refuse_special(path)
            if path.stat().st_size > LARGEST_BYTES:
                raise UserError(f"{path} has {path.stat().st_size} bytes, more than any manifest; {MEND}")
            return Manifest.parse(path.read_bytes(), path)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{path} not found: {folder} is not a prepared data set; create one with 'ltrec prepare'") from None

    @staticmethod
    def parse(content: bytes, path: object) -> Manifest:
        """Check the content of a manifest; `path` names it in messages.

        Raises:
            UserError: it is damaged, or has another format version.
        """
        try:
            text = content.decode("utf-8")
            body = json.loads(text)
            written, engine = body.pop("digest"), body.pop(ENGINE, {})
            whole = {**body, "digest": written, **({ENGINE: engine} if engine else {})}
            intact = written == digest_of(body) and text == canonical_json(whole) and _is_sealed(written, engine)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            intact = False
        if not intact:
            raise UserError(f"{path} is damaged: its contents do not match its digest; {MEND}")
        if (version := body.get("format_version")) not in (FORMAT_VERSION, COLUMNS_VERSION, LAYERS_VERSION):
            known = f"{FORMAT_VERSION}, {COLUMNS_VERSION} and {LAYERS_VERSION}"
            raise UserError(f"{path} has format version {shown(version)}, this ltrec reads {known}; {MEND}")
        try:
            manifest = construct(Manifest, body)
            if not sum(manifest.strata.users):
                raise ValueError("strata have no users")
            for shard in manifest.shards:
                if not shard.layers and shard.rows * _LEAST_BYTES_PER_USER > shard.bytes:
                    raise ValueError(f"{shard.path!r} cannot hold {shard.rows} users in {shard.bytes} bytes")
        except ValueError as error:
            raise UserError(f"{path} is undamaged but invalid: {error}; {MEND}") from None
        sections: dict[str, Any] = {name: Section(getattr(manifest, name)) for name in ("source", "options", "split", "summary")}
        manifest = replace(manifest, made_by=engine.get("made_by", ""), **sections)
        manifest._digest.append(written)
        return manifest


def version_of(columns: Schema, layers: Sequence[Layer] = ()) -> int:
    """The format version of a data set."""
    return LAYERS_VERSION if layers else COLUMNS_VERSION if columns else FORMAT_VERSION


def digest_of(body: dict[str, Any]) -> str:
    """Hex sha256 of a manifest's canonical text, without the digest itself."""
    return hashlib.sha256(canonical_json(body).encode("utf-8")).hexdigest()


def _is_sealed(digest: str, engine: dict[str, Any]) -> bool:
    """Whether an engine's name, if there is one, is the one that was written."""
    return not engine or engine["sha256"] == digest_of({"digest": digest, "made_by": engine["made_by"]})


def _refuse_outside(path: str) -> None:
    """Refuse paths that lead out of the data set's folder."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise ValueError(f"{path!r} is not a file inside the data set's folder")
