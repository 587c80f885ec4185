"""The table of launched operations against a count of real steps: what changes a mode's mechanics must change the table."""

import pytest
import pytorch_lightning as pl

from benchmarks.launch_count import Launches
from ltrec.config.load import load
from ltrec.costs.launches import launches
from ltrec.run.build.components import open_data
from ltrec.run.build.workload import workload_of
from tests.support.planned import take_steps
from tests.support.shards import random_users, write_dataset
from tests.support.tiny_run import tiny_words

pytestmark = pytest.mark.slow  # fifteen seconds

ALIGNED, BY_STRATUM = "gradients.name=aligned", "gradients.name=stratified"
TOLERANCE = 0.15
"""Rectangles of rows differ from batch to batch (`ltrec.models.layout`)."""

WAYS = {
    "joint": ["gradients.rows=all"],
    "joint, touched rows": ["gradients.rows=touched", "optim.name=lazy_adamw"],
    "weighted": [BY_STRATUM, "gradients.mode=weighted", "gradients.rows=all"],
    "per_stratum": [BY_STRATUM, "gradients.rows=all", "gradients.probe_every_steps=0", "gradients.source=split"],
    "segments": [BY_STRATUM, "gradients.rows=all", "gradients.probe_every_steps=0", "gradients.source=segments"],
    "segments, three blocks": [BY_STRATUM, "gradients.rows=all", "gradients.probe_every_steps=0", "model.blocks=3"],
    "upgrad, touched rows": [BY_STRATUM, "gradients.rule.name=upgrad", "gradients.rows=touched"],
    "replay": [BY_STRATUM, "gradients.mode=replay", "gradients.rule.name=upgrad", "gradients.rows=all"],
    "softmax": ["objective.name=softmax"],
    "bce, three blocks": ["objective.name=bce", "gradients.rows=all", "model.blocks=3"],
    "aligned": [ALIGNED],
    "aligned, longer": [ALIGNED, "gradients.inner_steps=4"],
    "aligned, one step": [ALIGNED, "gradients.trajectories=12", "gradients.inner_steps=1"],
    "aligned, three blocks": [ALIGNED, "gradients.trajectories=6", "model.blocks=3"],
    "aligned, strata": [ALIGNED, "gradients.tasks=stratum"],
    "aligned, strata often": [ALIGNED, "gradients.tasks=stratum", "gradients.trajectories=4"],
    "gru4rec": ["model.name=gru4rec", "gradients.rows=all"],
    "gru4rec, aligned": ["model.name=gru4rec", ALIGNED, "gradients.trajectories=6"],
    "gru4rec, segments": ["model.name=gru4rec", BY_STRATUM, "gradients.rows=all", "gradients.probe_every_steps=0"],
    "din": ["model.name=din", "gradients.rows=all"],
}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """180 users of 200 items."""
    folder = tmp_path_factory.mktemp("sparse")
    write_dataset(folder, random_users([80, 60, 40], num_items=200, longest=12), num_items=200)
    return folder


class Ends(pl.Callback):
    """Operations at the end of every step."""

    def __init__(self, counter):
        self.counter, self.ends = counter, []

    def on_train_batch_end(self, *_):
        """The optimiser has stepped."""
        self.ends.append(self.counter.total)


@pytest.mark.parametrize("way", WAYS)
def test_a_step_launches_about_as_many_operations_as_the_table_says(sparse, tmp_path, way):
    words = tiny_words(sparse, tmp_path, "stream.batch_rows=48", "stream.max_len=10", "objective.scope=shared", *WAYS[way])
    plain = {"softmax", "bce, three blocks"}
    words = [w for w in words if not (way in plain and w in ("objective.scope=shared", "objective.negatives=8"))]
    if way.startswith(("gru4rec", "din")):
        words = [w for w in words if not w.startswith("model.heads")]
    config = load([], words)
    counter = Launches()
    with counter:
        watch = Ends(counter)
        take_steps(config, watch)
    counted = watch.ends[-1] - watch.ends[-2]
    work, _ = workload_of(config, open_data(config))
    assert launches(work, 1, accelerator=False) == pytest.approx(counted, rel=TOLERANCE), (
        counted,
        work.groups,
        work.groups_of_stratum,
    )
