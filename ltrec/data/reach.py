"""How far users' targets are from their histories, as measured by `ltrec prepare` (`data/prepare/reach` defines the distance).

It is a file of the data set with a row per sampled user, ordered by key. Data sets of older versions do not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import MEND, Manifest

UNKNOWN, REPEAT, ONE_LINK, TWO_LINKS, BEYOND = -1, 0, 1, 2, 3
"""Distances of a target: unknown; in the history; one link from an item of it; two links; more, or not linked at all."""

KNOWN = (REPEAT, ONE_LINK, TWO_LINKS, BEYOND)

REACH_SCHEMA = pa.schema(
    [
        pa.field(c.USER_KEY, pa.int64(), nullable=False),
        pa.field(c.REACH_VALID, pa.int8(), nullable=False),
        pa.field(c.REACH_TEST, pa.int8(), nullable=False),
    ]
)
OF_SPLIT = {"valid": c.REACH_VALID, "test": c.REACH_TEST}


@dataclass(frozen=True, slots=True)
class Reach:
    """Distances of one split's targets: `key_U` is sorted, `distance_U` is int8."""

    key_U: npt.NDArray[np.int64]
    distance_U: npt.NDArray[np.int8]

    def of(self, key_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        """Distances of users by key; -1 for those who were not sampled."""
        if not self.key_U.size:
            return np.full(key_N.shape, UNKNOWN, np.int8)
        place = np.minimum(np.searchsorted(self.key_U, key_N), self.key_U.size - 1)
        return np.where(self.key_U[place] == key_N, self.distance_U[place], np.int8(UNKNOWN)).astype(np.int8)


def read_reach(folder: Path, manifest: Manifest, split: str) -> Reach | None:
    """The distances of a split; None if the data set has none.

    Raises:
        UserError: the file is missing or damaged.
    """
    file = manifest.summary.get("reach")
    if file is None:
        return None
    path = folder / file["path"]
    rows = read_reach_file(path, file["sha256"])
    return Reach(rows[c.USER_KEY].to_numpy(), rows[OF_SPLIT[split]].to_numpy())


def read_reach_file(path: Path, sha256: str) -> pa.Table:
    """All rows, after checking the file.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        if sha256_file(path) != sha256:
            raise UserError(f"{path} is damaged: its sha256 is not the manifest's; {MEND}")
        with pq.ParquetFile(path) as file:
            rows = file.read()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {MEND}") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}); {MEND}") from None
    if not rows.schema.equals(REACH_SCHEMA):
        raise UserError(f"{path} has another schema than this format: {', '.join(rows.schema.names)}")
    return rows
