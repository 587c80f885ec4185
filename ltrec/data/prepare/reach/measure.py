"""Writes the distances of all sampled users to a file of the data set, with an entry in the manifest's summary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.storage.atomic import atomic_path
from ltrec.data.prepare.output.entries import named_entry
from ltrec.data.prepare.reach.distances import distances
from ltrec.data.prepare.reach.links import find_links
from ltrec.data.prepare.reach.sample import Sampler
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.reach import KNOWN, OF_SPLIT, REACH_SCHEMA

FOLDER, STEM = "reach", "reach"


def measure_reach(
    stream: Iterable[UserBlock],
    id_of_code: npt.NDArray[np.int32],
    count_of_code: npt.NDArray[np.int64],
    share: float,
    strata: int,
    work: Path,
) -> dict[str, Any]:
    """Write `reach/reach-<sha>.parquet` into `work`; return its entry (see `ReachFile`), which leaves out test targets.

    Args:
        stream: the blocks.
        id_of_code: item id of every code.
        count_of_code: training events of every code.
        share: share of users to sample.
        strata: number of activity strata.
        work: folder in which the data set is built, also used for the memory-mapped links.
    """
    (scratch := work / "links").mkdir()
    sampler = Sampler(id_of_code, share)
    links = find_links(sampler.watched(stream), id_of_code, count_of_code, scratch)
    sample = sampler.sample()
    found = {split: distances(links, sample, split) for split in OF_SPLIT}
    valid, stratum = found["valid"], sample.stratum_U
    return {
        **_write(sample.key_U, found, work),
        "valid": [[int(((stratum == z) & (valid == d)).sum()) for d in KNOWN] for z in range(strata)],
    }


def _write(key_U: npt.NDArray[np.int64], found: dict[str, npt.NDArray[np.int8]], work: Path) -> dict[str, Any]:
    columns = {c.USER_KEY: key_U, **{OF_SPLIT[split]: distance for split, distance in found.items()}}
    with atomic_path(path := work / FOLDER / f"{STEM}.tmp") as temporary:
        pq.write_table(
            pa.table(columns, schema=REACH_SCHEMA),
            temporary,
            compression="zstd",
            use_dictionary=False,
            column_encoding={c.USER_KEY: "PLAIN", **dict.fromkeys(OF_SPLIT.values(), "PLAIN")},
            write_page_checksum=True,
        )
    return named_entry(path, work)
