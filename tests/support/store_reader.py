"""Reads an epoch of a data set as a process of its own: python -m tests.support.store_reader ADDRESS MAX_BYTES; prints a digest."""

from __future__ import annotations

import hashlib
import sys

from ltrec.core.world import World
from ltrec.data.manifest import Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import open_folder, shard_files
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan

SETTINGS = StreamConfig(batch_rows=24, lanes=12, resident_mib=0, buffer_blocks=2, shuffle_shards=2)


def digest_of(place: str, max_bytes: int = 0, retry_seconds: int = 60) -> str:
    """Of all batches of an epoch, in their order."""
    folder = open_folder(place, CacheConfig(retry_seconds=retry_seconds))
    if max_bytes:
        shard_files(folder)._cache._max_bytes = max_bytes  # less than the least that the option can say
    manifest, found = Manifest.load(folder), hashlib.sha256()
    for batch in StreamLoader(folder, manifest, Plan.of(manifest, 1, SETTINGS), world=World()):
        found.update(batch.items_T.numpy().tobytes() + batch.user_key_B.numpy().tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    print(digest_of(sys.argv[1], int(sys.argv[2])))
