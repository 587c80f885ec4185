"""Checks of a decoded row group that every reader of training rows makes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.rows import I32, int_column, list_column

UNREADABLE = (OSError, ValueError, pa.ArrowException)
"""What pyarrow raises for damaged bytes: bad pages and truncation, names in the footer that are not UTF-8, everything else."""


def rows_of_group(manifest: Manifest, shard: int, group: int) -> int:
    """Rows of a row group, by the manifest."""
    return min(manifest.block_rows, manifest.shards[shard].rows - group * manifest.block_rows)


def fault_of_rows(table: pa.Table, manifest: Manifest, shard: int) -> str:
    """What is wrong with the items, strata and training events of a row group in single chunks; empty if nothing is."""
    values, offsets = list_column(table, c.ITEMS)
    stratum, train_events = int_column(table, c.STRATUM), int_column(table, c.TRAIN_EVENTS)
    return fault_of_values(values, offsets, stratum, train_events, manifest, shard)


def fault_of_values(values: I32, offsets: I64, stratum: I64, train_events: I64, manifest: Manifest, shard: int) -> str:
    """The same of decoded columns: items of all rows, where each row's begin, and each row's stratum and training events."""
    if values.size and not (values.min() >= 1 and values.max() <= manifest.vocab.items):
        return f"item ids {values.min()}..{values.max()} outside 1..{manifest.vocab.items}"
    if (stratum != manifest.shards[shard].stratum).any():
        return f"rows of another stratum than {manifest.shards[shard].stratum}"
    least = 2 if manifest.shards[shard].trainable else 0
    if (train_events < least).any() or (train_events > np.diff(offsets)).any():
        return f"train_events below {least} or beyond the end of items"
    return ""
