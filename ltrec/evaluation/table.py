"""The evaluation table: a row per user, with the rank of the target and the top of the list. Reports read nothing else.

The file's metadata hold what the ranks mean: the protocol (tables may only be compared if it is the same), where the scores came
from, the strata, and the items' popularity; and a digest of the file's bytes (`sealed`). Rows are in the order of the fixed chunks
of users, with cold users last, so the file is identical to the byte for any number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.sealed_parquet import seal_holds, write_sealed
from ltrec.core.strata import Strata
from ltrec.data.reach import UNKNOWN, Reach
from ltrec.data.stream.reading.target_types import TargetTypes
from ltrec.evaluation.catalogue import ItemCatalogue

HISTORY_LENGTH = "history_length"  # events before the target, int32; 0 = cold
TARGET = "target"  # dense item id, int32
TARGET_COUNT = "target_count"  # training events of the target, int64
REPEAT = "repeat"  # the target is already in the history, bool
REACH = "reach"  # links between the target and the history (data/reach), int8; -1 = unknown
RANK = "rank"  # 1 = best; ties count against the target, int32
NUM_CANDIDATES = "candidates"  # number of ranked items, including the target, int32
TARGET_TYPE = "target_type"  # such as event_type=purchase, string; only where the data declare targets of several types
TOP_ITEMS = "top_items"  # list<int32>, best first; shorter if fewer items were left

TABLE_SCHEMA = pa.schema(
    [
        pa.field(c.USER_ID, pa.string(), nullable=False),
        pa.field(c.USER_KEY, pa.int64(), nullable=False),
        pa.field(c.STRATUM, pa.int8(), nullable=False),
        pa.field(c.ACTIVITY, pa.int32(), nullable=False),
        pa.field(HISTORY_LENGTH, pa.int32(), nullable=False),
        pa.field(TARGET, pa.int32(), nullable=False),
        pa.field(TARGET_COUNT, pa.int64(), nullable=False),
        pa.field(REPEAT, pa.bool_(), nullable=False),
        pa.field(REACH, pa.int8(), nullable=False),
        pa.field(RANK, pa.int32(), nullable=False),
        pa.field(NUM_CANDIDATES, pa.int32(), nullable=False),
        pa.field(TOP_ITEMS, pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
    ]
)
VERSION = 3
_SCHEMAS = {2: TABLE_SCHEMA.remove(TABLE_SCHEMA.get_field_index(REACH)), VERSION: TABLE_SCHEMA}
"""Version 2 has no column `reach`, and is read as a table in which it is unknown."""
_TYPE_FIELD = pa.field(TARGET_TYPE, pa.string(), nullable=False)
_META = b"ltrec.evaluation"
FULL, SEEN = "full", "seen"
"""Candidates: every item; items with training events."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What must be equal for two results to be comparable.

    Attributes:
        manifest: digest of the prepared data (and with it the source, filters, tie-break, split cuts and strata).
        split: ``valid`` or ``test``.
        candidates: ``full``, ``seen`` (items with training events), or a phrase that begins with ``sampled``.
        filter_seen: whether items of the history were left out.
        ties: how equal scores are ranked; ``pessimistic`` ranks the target last among equal scores.
        version: format of the table.
    """

    manifest: str
    split: str
    candidates: str = "full"
    filter_seen: bool = True
    ties: str = "pessimistic"
    version: int = VERSION

    @property
    def ranking(self) -> str:
        """What was ranked, as text."""
        return "ranking of items with training events" if self.candidates == SEEN else f"{self.candidates} ranking"


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Rows of one chunk of users; `index` counts chunks of users with a history first, then cold ones."""

    index: int
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class EvalTable:
    """The result of ranking one split with one scorer.

    Attributes:
        rows: the users, `TABLE_SCHEMA`.
        protocol: facts that must be equal for tables to be comparable.
        source: origin of the scores: ``scorer``, ``name``, ``checkpoint_sha256``, ``seed`` (absent or None for a scorer without
            randomness, such as a baseline), ...
        strata: activity strata of the data set.
        catalogue: popularity of the items.
    """

    rows: pa.Table
    protocol: Protocol
    source: dict[str, Any]
    strata: Strata
    catalogue: ItemCatalogue

    @property
    def num_users(self) -> int:
        """Number of rows, including cold users."""
        return int(self.rows.num_rows)

    @property
    def name(self) -> str:
        """The name of the scorer."""
        return str(self.source.get("name") or self.source.get("scorer") or "unnamed")

    def column(self, name: str) -> npt.NDArray[Any]:
        """A flat column as an array [N]."""
        return np.asarray(self.rows.column(name).to_numpy())

    def target_types(self) -> npt.NDArray[np.str_] | None:
        """Such as ``event_type=purchase`` [N]; None unless the data declare targets of several types."""
        return self.column(TARGET_TYPE).astype(np.str_) if TARGET_TYPE in self.rows.column_names else None

    def outside(self) -> npt.NDArray[np.bool_]:
        """Users whose target is not a candidate, because training never saw it: they are last, and in no mean [N]."""
        if self.protocol.candidates != SEEN:
            return np.zeros(self.num_users, dtype=np.bool_)
        return np.asarray(self.column(TARGET_COUNT) == 0)

    def top_items(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """All recommendations, concatenated, and their number for each user [N]."""
        lists = self.rows.column(TOP_ITEMS).combine_chunks()
        return np.asarray(lists.flatten()), np.diff(np.asarray(lists.offsets)).astype(np.int64)

    def write(self, path: Path) -> None:
        """Write the table atomically."""
        meta = {
            "protocol": asdict(self.protocol),
            "source": self.source,
            "strata": asdict(self.strata),
            "catalogue": asdict(self.catalogue),
        }
        rows = self.rows.replace_schema_metadata({_META: canonical_json(meta)})
        with atomic_path(path) as temporary:
            write_sealed(rows, temporary)

    @staticmethod
    def read(path: Path) -> EvalTable:
        """Read and check a table.

        Raises:
            UserError: the file is missing, damaged, or not an evaluation table of this version.
        """
        rows = _rows(path)
        meta = _meta(path, rows)
        if REACH not in rows.column_names:
            rows = _with_reach(rows, np.full(rows.num_rows, UNKNOWN, np.int8))
        try:
            protocol, strata, catalogue = (
                Protocol(**{**meta["protocol"], "version": VERSION}),
                Strata(**_tuples(meta["strata"])),
                ItemCatalogue(**_tuples(meta["catalogue"])),
            )
            return EvalTable(rows.replace_schema_metadata(None), protocol, meta["source"], strata, catalogue)
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{path} is damaged (its metadata is incomplete); evaluate again") from None


def _rows(path: Path) -> pa.Table:
    """Rows and metadata of a file whose digest is correct; for a file without one only the metadata, to tell what it is."""
    try:
        holds = seal_holds(path)
        if holds is False:
            raise UserError(f"{path} is damaged (its bytes do not match its digest); evaluate again")
        with pq.ParquetFile(path) as file:  # pq.read_table would treat a folder named x=1 as a column
            rows = file.read() if holds else file.schema_arrow.empty_table()
    except FileNotFoundError:
        raise UserError(f"{path} not found; create it with 'ltrec evaluate'") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}); evaluate again") from None
    if not holds:
        _meta(path, rows)
        raise UserError(f"{path} is damaged (it has no digest); evaluate again")
    return rows


def assemble(
    parts: Iterable[RankedRows],
    *,
    protocol: Protocol,
    source: dict[str, Any],
    strata: Strata,
    catalogue: ItemCatalogue,
    reach: Reach | None = None,
    types: TargetTypes | None = None,
) -> EvalTable:
    """Join the chunks of all processes, given in any order, by number. No chunk may be missing or duplicated.

    `reach` is that of the split; without it all distances are unknown. `types` are those of its targets, if the data declare
    several.
    """
    ordered = sorted(parts, key=lambda part: part.index)
    assert [p.index for p in ordered] == list(range(len(ordered))), "chunks are missing or duplicated"
    rows = pa.concat_tables([TABLE_SCHEMA.empty_table(), *(p.rows for p in ordered)]).combine_chunks()
    if reach is not None:
        rows = _with_reach(rows, reach.of(rows.column(c.USER_KEY).to_numpy()))
    if types is not None:
        rows = rows.append_column(_TYPE_FIELD, pa.array(types.of(rows.column(c.USER_KEY).to_numpy()), pa.string()))
    return EvalTable(rows, protocol, source, strata, catalogue)


def _with_reach(rows: pa.Table, distance_N: npt.NDArray[np.int8]) -> pa.Table:
    """Rows in the current schema with these distances instead of their own."""
    columns = {**dict(zip(rows.column_names, rows.columns, strict=True)), REACH: pa.array(distance_N, pa.int8())}
    return pa.table([columns[name] for name in TABLE_SCHEMA.names], schema=TABLE_SCHEMA)


def _meta(path: Path, rows: pa.Table) -> dict[str, Any]:
    text = (rows.schema.metadata or {}).get(_META)
    if text is None:
        raise UserError(f"{path} is not an evaluation table of ltrec; create one with 'ltrec evaluate'")
    try:
        meta: dict[str, Any] = json.loads(text)
        version = meta["protocol"]["version"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged (its metadata cannot be read); evaluate again") from None
    expected = next((schema for known, schema in _SCHEMAS.items() if known == version), None)
    found = rows.schema.remove_metadata()
    if expected is None or not (found.equals(expected) or found.equals(expected.append(_TYPE_FIELD))):
        raise UserError(f"{path} was written by another version of ltrec (format {version}); evaluate again")
    return meta


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
