"""Bytes per step on paper against those that two gloo processes count."""

import pytest

from ltrec.config.load import load
from ltrec.core.world import World
from ltrec.costs.traffic import traffic
from ltrec.run.build.components import open_data
from ltrec.run.build.workload import workload_of
from ltrec.strategy import Stratified
from tests.support.planned import DdpBytes, take_steps
from tests.support.shards import random_users, write_dataset
from tests.support.spawn import spawn
from tests.support.tiny_run import tiny_words

pytestmark = pytest.mark.slow

STEPS = 4
BY_STRATUM = "gradients.name=stratified"
ALL, TOUCHED = "gradients.rows=all", "gradients.rows=touched"
WAYS = {
    "joint": [ALL],
    "joint, touched": [TOUCHED],
    "weighted": [BY_STRATUM, "gradients.mode=weighted", ALL],
    "per_stratum": [BY_STRATUM, "gradients.probe_every_steps=0", ALL],
    "per_stratum, touched": [BY_STRATUM, "gradients.probe_every_steps=0", TOUCHED],
    "per_stratum, accumulated": [BY_STRATUM, "gradients.probe_every_steps=0", ALL, "trainer.accumulate=2"],
    "upgrad": [BY_STRATUM, "gradients.rule.name=upgrad", ALL],
    "replay": [BY_STRATUM, "gradients.mode=replay", "gradients.rule.name=upgrad", ALL],
    "fsdp2": [BY_STRATUM, "gradients.probe_every_steps=0", "strategy.name=fsdp2"],
    "fsdp2, weighted": [BY_STRATUM, "gradients.mode=weighted", "strategy.name=fsdp2"],
}


def config_of(data, out, way):
    return load([], tiny_words(data, out, "stream.batch_rows=48", "objective.scope=shared", *WAYS[way]))


def counted(rank, data, out):
    """Bytes that this rank sends in a step, way by way."""
    found = {}
    for way in WAYS:
        buckets = DdpBytes()
        module, trainer = take_steps(config_of(data, out, way), buckets, world=World(rank, 2), steps=STEPS)
        collectives = None
        if isinstance(trainer.strategy, Stratified):
            collectives = trainer.strategy.engine.collectives
        elif module.touched is not None:
            collectives = module.touched.collectives
        sent = 0 if collectives is None else sum(collectives.sent.values())
        found[way] = (buckets.sent + sent) / STEPS
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sparse")
    write_dataset(folder, random_users([80, 60, 40], num_items=2000, longest=8), num_items=2000)
    return folder, spawn(counted, 2, folder / "rendezvous", folder, folder / "out", timeout=240)


@pytest.mark.parametrize("way", WAYS)
def test_bytes_on_paper_are_those_of_the_wire(ranks, tmp_path, way):
    """All rows: within a hundredth. Touched rows: expected rows where each step has its own, an upper bound where ids overlap."""
    folder, [first, _] = ranks
    config = config_of(folder, tmp_path, way)
    work, _ = workload_of(config, open_data(config), world=2)
    planned = sum(traffic(work, 2).values())
    if "touched" in way:
        assert 0.9 * first[way] <= planned <= 1.6 * first[way]
    else:
        assert planned == pytest.approx(first[way], rel=0.01)
