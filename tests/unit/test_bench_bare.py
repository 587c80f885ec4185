"""benchmarks/bare: every way goes over the same users, and shares are of bare's."""

from __future__ import annotations

from benchmarks.bare import bare, epoch, measure, stream
from ltrec.data.manifest import Manifest
from ltrec.data.stream.config import StreamConfig
from tests.support.shards import random_users, write_dataset

CONFIG = StreamConfig(batch_rows=12, lanes=4, max_len=6, buffer_blocks=1, threads=1)


def test_ways_are_what_they_are_called(tmp_path):
    write_dataset(tmp_path, random_users([60, 40]), block_rows=3)
    resident, lanes, kept = (stream(tmp_path, CONFIG, kind) for kind in ("resident", "lanes", "kept"))
    assert resident._plan.pools[0].resident
    assert not lanes._plan.pools[0].resident and not lanes._rows.kept and kept._rows.kept
    epoch(lanes)
    assert lanes.next_step == lanes._plan.steps_per_epoch


def test_figures_are_of_all_ways(tmp_path):
    write_dataset(tmp_path, random_users([60, 40]), block_rows=3)
    manifest = Manifest.load(tmp_path)
    bare(tmp_path, manifest)
    found = measure(tmp_path, CONFIG, 2)
    assert found["users"] == sum(shard.rows for shard in manifest.shards if shard.trainable)
    assert [*found["cells"]] == ["bare", "resident", "lanes", "kept", "first resident", "first lanes", "first kept"]
    assert found["cells"]["bare"]["share"] == 1.0 and all(cell["least"] <= cell["median"] for cell in found["cells"].values())
