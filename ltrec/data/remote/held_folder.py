"""A folder in a store that is named by a marker with digests (an exported model, an index) as a folder of this node.

CACHE/sets/<digest of the marker>/<marker>
CACHE/sets/<digest of the marker>/<file> -> ../../files/<sha256>
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import node_cache, open_store, put_link, put_text
from ltrec.data.remote.shard_files import RemoteFiles

MOST_BYTES = 1 << 26
"""More than any marker has."""

FilesOf = Callable[[bytes, str], Mapping[str, tuple[int, str]]]
"""What a marker (its content, and its address for messages) says of the files: bytes and sha256 by name."""


@contextmanager
def held_folder(place: str | os.PathLike[str], marker: str, files_of: FilesOf, missing: str) -> Iterator[Path]:
    """The folder to read from: itself, or, of an address, one in the node's cache, whose files stay as long as the context is open.
    Each file is compared with the marker's digest.

    Args:
        place: a folder, or an address such as s3://bucket/folder.
        marker: the file that names the others.
        files_of: reads it.
        missing: what to say, after the address, where there is none.

    Raises:
        UserError: there is none, a file is missing or another one, or the store cannot be reached.
    """
    if not is_url(os.fspath(place)):
        yield Path(place)
        return
    config = CacheConfig()
    store, cache = open_store(os.fspath(place), config), node_cache(config)
    try:
        text = store.read(marker, MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"{store.url} {missing}") from None
    named, files = files_of(text, store.address(marker)), RemoteFiles(store, cache, 1, way_out="write it there again")
    if odd := [name for name in named if name != Path(name).name]:
        raise UserError(f"{store.address(marker)} names {odd[0]!r}, which is no file beside it")
    folder = put_text(cache, hashlib.sha256(text).hexdigest(), marker, text).resolve()
    with ExitStack() as held:
        for name, (size, sha256) in named.items():
            if (there := store.size(name)) not in (None, size):
                raise UserError(f"{store.address(name)} has {there} bytes instead of {size}; write it there again")
            put_link(folder / name, held.enter_context(files.hold(name, size, sha256, check=True)))
        try:
            yield folder
        except UserError as error:
            raise UserError(str(error).replace(str(folder), store.url)) from None
