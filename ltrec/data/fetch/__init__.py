"""Event logs to work with: public data sets from several mirrors, hash-checked, and a synthetic generator that needs no network.

    DATASETS[name] ──mirrors in turn──▶ archive member ──pinned hash──▶ per-user cache ──read──▶ canonical table ──hash──▶ OUT/
    SyntheticConfig ──generate──▶ table ─────────────────────────────────────────────────────────────────────────────────▶ OUT/

Every log is `OUT/events.parquet` with the columns `user_id, item_id, timestamp` in source order, and a `NOTICE.txt` beside it.
What the source knows of items and users lies in `OUT/items.parquet` and `OUT/users.parquet`. Nothing here prints: progress and
notes go to the callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ltrec.core.errors import UserError, nearest
from ltrec.core.progress import Progress
from ltrec.data.fetch.cache import Cache, user_cache
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

    `cache` is a folder for downloads, by default this user's; `on_note` hears what did not go as planned (a mirror that failed).

    Raises:
        UserError: for an unknown name, when no mirror gives the data, or when `out` cannot be written.
    """
    if name not in DATASETS:
        known = [*DATASETS, SYNTHETIC]
        raise UserError(f"no data set {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return fetch_published(DATASETS[name], out, Cache(cache or user_cache(), on_note), on_progress)


def fetch_synthetic(config: SyntheticConfig, out: Path) -> Path:
    """Generate a log, write it to `out` with its recipe as notice, and return the path of the events.

    Raises:
        UserError: when `out` cannot be written.
    """
    return write_log(generate_log(config), describe(config), out) / EVENTS
