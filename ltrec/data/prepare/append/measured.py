"""What is measured over all events of the grown data set, by choice: every row is read once more."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np

from ltrec.core.ragged import I64
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.append.blocks import stored_blocks
from ltrec.data.prepare.columns.declared import Declared, event_columns
from ltrec.data.prepare.columns.side_tables import table_columns
from ltrec.data.prepare.columns.tally import Tally, tallied
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.reach import measure_reach, sample_share


def with_statistics(folder: Path, manifest: Manifest, config: PrepareConfig) -> Manifest:
    """The manifest with statistics of event and user columns over all training values, as a full prepare has them.

    Args:
        folder: has all files of the data set.
        manifest: of the data set.
        config: its options.
    """
    users = tuple(column for column in table_columns(config) if column.role == "user")
    tallies = [Tally(column, _values(column, manifest)) for column in (*event_columns(config), *users)]
    deque(tallied(stored_blocks(folder, manifest), tallies), maxlen=0)
    found = {(t.column.role, t.column.name): t.statistics(_ids(t)) for t in tallies if not t.column.is_weight}
    weight = {t.column.field: t.statistics(None) for t in tallies if t.column.is_weight}
    columns = tuple(
        replace(column, statistics=found.get((column.role, column.name), column.statistics)) for column in manifest.columns
    )
    return replace(manifest, columns=replace(manifest.columns, columns=columns), summary={**manifest.summary, **weight})


def with_reach(folder: Path, manifest: Manifest, count_I: I64) -> Manifest:
    """The manifest with the distances of targets, in a file in the folder, as a full prepare has them.

    Args:
        folder: has all files of the data set.
        manifest: of the data set.
        count_I: training events of every item id, 0 for padding.
    """
    share = sample_share(manifest.summary["users"], manifest.summary["events"])
    ids = np.arange(count_I.size, dtype=np.int32)
    found = measure_reach(stored_blocks(folder, manifest), ids, count_I, share, manifest.strata.count, folder)
    return replace(manifest, summary={**manifest.summary, "reach": found})


def _values(column: Declared, manifest: Manifest) -> int:
    """The largest id of a categorical column."""
    return manifest.columns.of(column.role)[column.name].size - 1 if column.kind.is_categorical else 0


def _ids(tally: Tally) -> np.ndarray[tuple[int], np.dtype[np.int32]] | None:
    """Codes of stored values are their ids."""
    return np.arange(tally.count_W.size, dtype=np.int32) if tally.column.kind.is_categorical else None
