"""Reading a prepared data set while training: shards -> jagged batches.

open.py      the stream of a prepared data set, in one call
loader.py    plan + shards -> SequenceBatch, by threads, in order; state is one counter plus digests
order/       (manifest, seed, config) -> which row goes to which slot of which step; pure functions, no files
reading/     shards, row groups and rows; also every user once, in file order, for evaluation and prediction
"""

from ltrec.core.batch import SequenceBatch
from ltrec.core.world import World
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.open import open_stream

__all__ = ["SequenceBatch", "StreamConfig", "StreamLoader", "World", "open_stream"]
