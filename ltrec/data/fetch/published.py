"""A public data set: where it is downloaded from, how its files are read, and the owners' terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.data.fetch.cache import Cache
from ltrec.data.fetch.events import EVENTS, table_digest, write_log
from ltrec.data.fetch.mirrors import Mirror, MirrorError, obtain


@dataclass(frozen=True, slots=True)
class Published:
    """One public data set.

    Attributes:
        name: on the command line.
        mirrors: tried in turn.
        read: the contents of a mirror's members by their paths -> tables by file name, the events among them; every mirror must
            yield the same tables.
        sha256: `table_digest` of each of them.
        notice: the owners' terms, printed and written next to the events.
    """

    name: str
    mirrors: tuple[Mirror, ...]
    read: Callable[[Mapping[str, bytes]], Mapping[str, pa.Table]]
    sha256: Mapping[str, str]
    notice: str


def fetch_published(dataset: Published, out: Path, cache: Cache, on_progress: Progress) -> Path:
    """Get the data set from the cache or a mirror and write it to `out`; returns the path of the events.

    Raises:
        UserError: no mirror has it, or `out` cannot be written.
    """
    try:
        mirror, contents = obtain(dataset.mirrors, cache, on_progress)
    except MirrorError as error:
        raise UserError(
            f"{dataset.name} could not be downloaded and {cache.folder} has no copy; tried {' '.join(str(error).split())}. "
            "Without a network, 'ltrec fetch synthetic' generates a log to try things with"
        ) from error
    paths = [member.path for member in mirror.members]
    tables = dataset.read(dict(zip(paths, contents, strict=True)))
    assert {name: table_digest(table) for name, table in tables.items()} == dataset.sha256, (
        f"{mirror.name}: right bytes, but wrong table"
    )
    return write_log(tables, dataset.notice, out) / EVENTS
