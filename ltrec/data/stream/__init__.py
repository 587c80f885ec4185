"""Reading a prepared data set while training: shards -> jagged batches.

open.py      the stream of a prepared data set, in one call
loader.py    plan + shards -> SequenceBatch, by threads, in order; state is one counter plus digests
order/       (manifest, seed, config) -> which row goes to which slot of which step; pure functions, no files
runs/        rows that lie anywhere in flat arrays, copied whole
reading/     shards, row groups and rows; also every user once, in file order, for evaluation and prediction
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltrec.core.extension.deferred import names_of
from ltrec.core.world import World
from ltrec.data.stream.config import StreamConfig

if TYPE_CHECKING:
    from ltrec.core.batch import SequenceBatch
    from ltrec.data.stream.loader import StreamLoader
    from ltrec.data.stream.open import open_stream
else:
    __getattr__ = names_of(
        __name__,
        {
            "SequenceBatch": "ltrec.core.batch",
            "StreamLoader": "ltrec.data.stream.loader",
            "open_stream": "ltrec.data.stream.open",
        },
    )

__all__ = ["SequenceBatch", "StreamConfig", "StreamLoader", "World", "open_stream"]
