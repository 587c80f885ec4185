"""The log that the benchmarks of steps train on: MovieLens-100K, unless another is named."""

from __future__ import annotations

from pathlib import Path

from ltrec.data.fetch import fetch
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare


def prepare_log(events: Path | None, out: Path, *, strata: int = 5) -> None:
    """A data set, prepared as conf/data/ml-100k.yaml says.

    Args:
        events: a log instead of MovieLens-100K, which is fetched when it is not there.
        out: folder of the data set.
        strata: number of them.
    """
    events = events or Path("data/raw/ml-100k/events.parquet")
    if not events.exists():
        fetch("ml-100k", events.parent)
    prepare(PrepareConfig(name="bench", sources=(str(events),), min_user_events=5, min_item_events=5, strata=strata), out)
