"""A public data set: where it can be downloaded, how its file is read, and the terms of its owners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.data.fetch.cache import Cache
from ltrec.data.fetch.events import table_digest, write_events
from ltrec.data.fetch.mirrors import Mirror, MirrorError, obtain


@dataclass(frozen=True, slots=True)
class Published:
    """One public data set.

    Attributes:
        name: what the user types.
        mirrors: places that hold it, tried in turn.
        read: a member's bytes and its path -> events in canonical order; every mirror must give the same table.
        sha256: `table_digest` of that table.
        notice: the owners' terms, printed and written beside the events.
    """

    name: str
    mirrors: tuple[Mirror, ...]
    read: Callable[[bytes, str], pa.Table]
    sha256: str
    notice: str


def fetch_published(dataset: Published, out: Path, cache: Cache, on_progress: Progress) -> Path:
    """Get the data set from the cache or a mirror and write it to `out`; returns the path of the events.

    Raises:
        UserError: when no mirror gives it, or `out` cannot be written.
    """
    try:
        mirror, content = obtain(dataset.mirrors, cache, on_progress)
    except MirrorError as error:
        raise UserError(
            f"{dataset.name} could not be fetched and {cache.folder} holds no copy; tried {' '.join(str(error).split())}. "
            "Without a network, 'ltrec fetch synthetic' makes a log to work with"
        ) from error
    events = dataset.read(content, mirror.member.path)
    assert table_digest(events) == dataset.sha256, f"{mirror.name}: right bytes, wrong table"
    return write_events(events, dataset.notice, out)
