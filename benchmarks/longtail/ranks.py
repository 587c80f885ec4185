"""Ranks of the test split in a form small enough to be committed, and the evaluation tables that they stand for.

    LOG.users.parquet                 a row per user: stratum, activity, history, target, its training events, ...
    LOG-MODEL-METHOD-VARIANT.parquet  a row per user, the users in the same order: a column per seed, the target's rank, uint8

A rank beyond `DEEPEST` is 0, so only metrics that are cut at `DEEPEST` or before can be had (`judge.METRICS`). The order of the
users is that of their keys. Both kinds of file carry the digest of these keys, so ranks never meet other users.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.strata import Strata
from ltrec.data.reach import Reach
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.table import HISTORY_LENGTH, NUM_CANDIDATES, RANK, REPEAT, TARGET, TARGET_COUNT, EvalTable, Protocol

DEEPEST = 100
"""The last rank that is kept."""

REACH = "reach"
KEPT = (c.STRATUM, c.ACTIVITY, HISTORY_LENGTH, TARGET, TARGET_COUNT, REPEAT, NUM_CANDIDATES)
"""Columns of an evaluation table that belong to the user and his target, not to a scorer."""

_META = b"ltrec.longtail"

Ranks = npt.NDArray[np.uint8]


def clipped(table: EvalTable) -> Ranks:
    """A table's ranks in the order of user keys; 0 = beyond `DEEPEST`."""
    rank_N = table.column(RANK)[_order(table)]
    return np.where(rank_N <= DEEPEST, rank_N, 0).astype(np.uint8)


def users_digest(table: EvalTable) -> str:
    """Whose ranks these are: data set, split and user keys."""
    keys_N, protocol = np.sort(table.column(c.USER_KEY)).astype("<i8"), asdict(table.protocol)
    protocol.pop("version")  # of the table's format, which changes no rank
    return hashlib.sha256(canonical_json(protocol).encode() + keys_N.tobytes()).hexdigest()[:16]


def _order(table: EvalTable) -> npt.NDArray[np.int64]:
    return np.argsort(table.column(c.USER_KEY), kind="stable")


def write_users(path: Path, table: EvalTable, reach: Reach | None = None) -> None:
    """Keep what an evaluation table says of the users, and how far their targets are, where that is known."""
    columns = {name: table.rows.column(name) for name in KEPT}
    if reach is not None:
        columns[REACH] = pa.array(reach.of(table.column(c.USER_KEY)))
    rows = pa.table(columns).take(pa.array(_order(table)))
    meta = {
        "users": users_digest(table),
        "protocol": asdict(table.protocol),
        "strata": asdict(table.strata),
        "catalogue": asdict(table.catalogue),
    }
    _write(path, rows, meta)


def _write(path: Path, rows: pa.Table, meta: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        pq.write_table(
            rows.replace_schema_metadata({_META: canonical_json(dict(meta))}), temporary, compression="zstd", compression_level=19
        )


def _read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        rows = pq.read_table(path, partitioning=None)
        meta: dict[str, Any] = json.loads(rows.schema.metadata[_META])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} holds no ranks of benchmarks/longtail ({error})") from None
    return rows.replace_schema_metadata(None), meta


@dataclass(frozen=True, slots=True)
class Column:
    """One scorer's ranks.

    Attributes:
        seed: of its training; None where nothing is trained.
        key: of the run, with the variant.
        setting: that was chosen.
        rank_N: see `clipped`.
    """

    seed: int | None
    key: str
    setting: str
    rank_N: Ranks

    @property
    def name(self) -> str:
        """Of the column."""
        return "rank" if self.seed is None else f"seed{self.seed}"


def add_column(path: Path, users: str, column: Column) -> None:
    """Put a seed's ranks into the file of its variant, in place of older ones.

    Seeds that were trained with another setting, or ranked other users, are dropped: they are no seeds of this variant any more.
    """
    kept = {} if not path.exists() else {name: old for name, old in _columns(path, users).items() if old.setting == column.setting}
    kept |= {column.name: column}
    ordered = [kept[name] for name in sorted(kept)]
    rows = pa.table({one.name: pa.array(one.rank_N) for one in ordered})
    _write(path, rows, {"users": users, "columns": {one.name: [one.seed, one.key, one.setting] for one in ordered}})


def _columns(path: Path, users: str) -> dict[str, Column]:
    rows, meta = _read(path)
    if meta["users"] != users:
        return {}
    found = {}
    for name in rows.column_names:
        seed, key, setting = meta["columns"][name]
        found[name] = Column(seed, key, setting, rows.column(name).to_numpy())
    return found


@dataclass(frozen=True, slots=True)
class Users:
    """The users of a log's test split.

    Attributes:
        digest: of `users_digest`.
        table: with every column but ranks; those are all 1.
    """

    digest: str
    table: EvalTable

    def reach(self) -> npt.NDArray[np.int8] | None:
        """How far each target is (`ltrec.data.reach`); None where that was not known when the users were written."""
        return self.table.column(REACH) if REACH in self.table.rows.column_names else None

    def tables(self, path: Path, name: str, sources: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, EvalTable]:
        """Evaluation tables of a variant: key of the run -> its table. Ranks beyond `DEEPEST` become the last.

        Args:
            path: of its ranks.
            name: what to call the scorer.
            sources: more to say of where the scores came from, by key.
        """
        found = {}
        for column in _columns(path, self.digest).values():
            beyond_N = self.table.column(NUM_CANDIDATES)
            rank_N = np.where(column.rank_N > 0, column.rank_N, np.maximum(beyond_N, DEEPEST + 1)).astype(np.int32)
            rows = self.table.rows.set_column(self.table.rows.column_names.index(RANK), RANK, pa.array(rank_N))
            source = {"name": name, "scorer": name, "setting": column.setting, **(sources or {}).get(column.key, {})}
            seed = {} if column.seed is None else {"seed": column.seed}
            found[column.key] = replace(self.table, rows=rows, source=source | seed)
        return found


def read_users(path: Path) -> Users:
    """The users of a log.

    Raises:
        UserError: there is no such file, or it is another kind of file.
    """
    rows, meta = _read(path)
    count = rows.num_rows
    rows = rows.append_column(c.USER_KEY, pa.array(np.arange(count, dtype=np.int64)))
    rows = rows.append_column(c.USER_ID, pa.array([str(row) for row in range(count)]))
    rows = rows.append_column(RANK, pa.array(np.ones(count, dtype=np.int32)))
    strata, catalogue = (_tuples(meta[part]) for part in ("strata", "catalogue"))
    table = EvalTable(rows, Protocol(**meta["protocol"]), {}, Strata(**strata), ItemCatalogue(**catalogue))
    return Users(meta["users"], table)


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
