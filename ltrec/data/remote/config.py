"""Options of the node's cache of a remote data set. None of them changes what a run computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import Between, check_fields


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """The node's cache of the files of a data set in a store (`data.path=s3://...`)."""

    dir: str = ""
    """Folder of the cache, best on a disk of the node; `$NAME` of a variable that names one. Empty = $LTREC_CACHE, else
    $SLURM_TMPDIR, else the user's cache folder."""

    max_mib: Annotated[int, Between(0, 1 << 40)] = 0
    """Most MiB that it takes; the least recently used files are removed to make room, none that is in use. 0 = all of the disk
    but a twentieth."""

    downloads: Annotated[int, Between(1, 256)] = 4
    """Files that a process downloads at the same time, ahead of the steps that need them."""

    retry_seconds: Annotated[int, Between(0, 86_400)] = 300
    """How long what a store does not answer is repeated before training ends."""

    def __post_init__(self) -> None:
        check_fields(self)
