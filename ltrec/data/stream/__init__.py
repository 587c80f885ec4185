"""Online side of the data: shards -> jagged batches.

plan.py      (manifest, seed, config) -> which row goes to which slot of which step; pure, no files
loader.py    plan + shards -> SequenceBatch, by threads, in order; state is one counter plus digests
histories.py the same shards read once, in file order, for evaluation and prediction
"""
