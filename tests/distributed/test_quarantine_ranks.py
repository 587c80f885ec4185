"""Quarantine in real processes: ranks need no word with each other to replace the same rows, and their ledgers become one."""

from collections import Counter

import pytest

import ltrec.run.train as training
from ltrec.data.manifest import Manifest
from ltrec.data.stream.quarantine.ledger import read_ledger
from ltrec.data.stream.quarantine.quarantine import Quarantine
from ltrec.distributed.collectives import all_gather_parts
from ltrec.training.datamodule import sum_over_ranks
from tests.support.flips import flip_group, shards_of_stratum
from tests.support.killed_run import train_killed
from tests.support.ranks import act_as_rank
from tests.support.shards import random_users, write_dataset
from tests.support.spawn import spawn
from tests.support.streaming import VARIANTS, epochs, make, rows
from tests.support.tiny_run import checkpoint, refuse_differences, tiny_config, tiny_data

NAMES = ("resident", "quota-lanes")
STREAMED = ["stream.resident_mib=0", "stream.lanes=4", "stream.on_damage=quarantine", "stream.damage_budget=0.3"]


@pytest.fixture
def damaged(tmp_path):
    """A data set with a damaged row group in two strata."""
    manifest = write_dataset(tmp_path / "data", random_users([41, 40, 38]), block_rows=3)
    for stratum in (0, 2):
        flip_group(tmp_path / "data", manifest, shards_of_stratum(manifest, stratum)[0], 1)
    return tmp_path / "data"


def stream(rank, size, folder):
    manifest, found = Manifest.load(folder), []
    for name in NAMES:
        quarantine = Quarantine(manifest, 0.2, lambda _: None, speaks=rank == 0)
        loader = make((folder, manifest, None), VARIANTS[name], rank, size, quarantine=quarantine)
        seen = Counter((b.step, row) for b in epochs(loader, 1) for row in rows(b))
        found.append((seen, loader.state_dict(sum_over_ranks, all_gather_parts)))
    return found


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_together_see_what_one_process_sees(damaged, tmp_path, size):
    together = spawn(stream, size, tmp_path / "store", size, damaged)
    for i, (seen, state) in enumerate(stream(0, 1, damaged)):
        assert len(state["quarantine"]) == 2
        assert sum((rank[i][0] for rank in together), Counter()) == seen
        assert [rank[i][1] for rank in together] == [state] * size


def train_all(rank, data, out):
    act_as_rank(rank, 2)
    training.train(tiny_config(data, out / "whole", *STREAMED))
    here = tiny_config(data, out / "killed", *STREAMED)
    train_killed(here, 6, "batch")
    training.train(here)


@pytest.mark.slow
def test_two_processes_killed_and_resumed_are_the_same_run(tmp_path):
    data = tiny_data(tmp_path / "data")
    manifest = Manifest.load(data)
    flip_group(data, manifest, shards_of_stratum(manifest, 0)[0], 2)
    spawn(train_all, 2, tmp_path / "store", data, tmp_path)
    whole, killed = tmp_path / "whole" / "r", tmp_path / "killed" / "r"
    refuse_differences(killed, whole)
    assert read_ledger(killed / "quarantine.json") == read_ledger(whole / "quarantine.json") != ()
    alone = training.train(tiny_config(data, tmp_path / "alone", *STREAMED)).path
    assert checkpoint(alone)["StreamDataModule"] == checkpoint(whole)["StreamDataModule"]
