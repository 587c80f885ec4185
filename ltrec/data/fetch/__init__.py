"""Event logs to try things with: public data sets from mirrors, verified by hash, and a synthetic generator that needs no network.

    DATASETS[name] ──mirrors in turn──▶ archive member ──pinned hash──▶ per-user cache ──read──▶ canonical table ──hash──▶ OUT/
    SyntheticConfig ──generate──▶ table ─────────────────────────────────────────────────────────────────────────────────▶ OUT/

Every log is `OUT/events.parquet` with the columns `user_id, item_id, timestamp` in source order, and a `NOTICE.txt` next to it.
What the source knows of items and users is in `OUT/items.parquet` and `OUT/users.parquet`. Nothing is printed here: progress and
notes go to callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ltrec.core.errors import UserError, nearest
from ltrec.core.progress import Progress
from ltrec.core.storage.user_cache import user_cache
from ltrec.data.fetch.cache import Cache
from ltrec.data.fetch.events import EVENT_SCHEMA, EVENTS, write_log
from ltrec.data.fetch.movielens import ML_100K
from ltrec.data.fetch.published import Published, fetch_published
from ltrec.data.fetch.synthetic import SyntheticConfig, describe, generate, generate_log

DATASETS: dict[str, Published] = {dataset.name: dataset for dataset in (ML_100K,)}
SYNTHETIC = "synthetic"

__all__ = ["DATASETS", "EVENT_SCHEMA", "SYNTHETIC", "Published", "SyntheticConfig", "fetch", "fetch_synthetic", "generate"]


def fetch(
    name: str,
    out: Path,
    *,
    cache: Path | None = None,
    on_progress: Progress = lambda *_: None,
    on_note: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the public data set `name` to `out` and return the path of its events.

    `cache` is a folder for downloads, by default the user's cache; `on_note` is called with what did not work (a mirror that
    failed).

    Raises:
        UserError: the name is unknown, no mirror has the data, or `out` cannot be written.
    """
    if name not in DATASETS:
        known = [*DATASETS, SYNTHETIC]
        raise UserError(f"no data set {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return fetch_published(DATASETS[name], out, Cache(cache or user_cache(), on_note), on_progress)


def fetch_synthetic(config: SyntheticConfig, out: Path) -> Path:
    """Generate a log, write it to `out` with a notice about its origin, and return the path of the events.

    Raises:
        UserError: `out` cannot be written.
    """
    return write_log(generate_log(config), describe(config), out) / EVENTS
