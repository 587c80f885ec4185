"""Real gloo processes: ranks that differ stop together and are told apart; ranks that agree train as if nobody had looked."""

import math
import os
import re
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import ltrec.run.train as training
from ltrec.core.errors import UserError
from ltrec.distributed.report import StepReport
from ltrec.training.callbacks.rank_consistency import RankConsistency, statement
from ltrec.training.callbacks.telemetry import gradient_norm
from ltrec.training.callbacks.weight_average import WeightAverage
from tests.support.extra_callbacks import extra
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, lines_of, same, tiny_config, tiny_data

TABLE = "backbone.items.weight"
WORDS = ("stream.lanes=12", "model.dropout=0", "gradients.name=stratified", "gradients.probe_every_steps=1", "optim.eps=1e-3")
"""A larger eps keeps Adam from blowing up rounding, so that two ranks may be held against one."""


class Corrupt(Callback):
    """Flips one bit of one parameter of the last rank after a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step == self.step and trainer.global_rank == trainer.world_size - 1:
            table = dict(pl_module.named_parameters())[TABLE]
            table.detach().view(-1).view(torch.int32)[17] ^= 1


class CorruptAverage(Callback):
    """Flips one bit of one average of the last rank after a step."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 5 and trainer.global_rank == trainer.world_size - 1:
            average = next(c for c in trainer.callbacks if isinstance(c, WeightAverage))
            average.by_name()[TABLE].view(-1).view(torch.int32)[17] ^= 1 << 12  # the last bit might be rounded away


def train_each(rank, data, out):
    """Runs in one world: watched, alone, and watched while a bit flips. What each would tell its user, None for nothing."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    runs = {"watched": (1, []), "alone": (0, []), "corrupted": (2, [Corrupt(5)]), "average": (2, [CorruptAverage()])}
    return {name: train(data, out / name, every, extras) for name, (every, extras) in runs.items()}


def train(data, out, every_steps, extras):
    words = (*WORDS, "trainer.ema=0.9", f"strategy.check_every_steps={every_steps}")
    with extra(*extras, first=True):
        try:
            training.train(tiny_config(data, out, *words))
        except UserError as error:
            return str(error)
    return None


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def told(out):
    data = tiny_data(out / "data")
    return spawn(train_each, 2, out / "store", data, out)


def test_a_flipped_bit_stops_all_ranks_in_one_line(told):
    first, second = (rank["corrupted"] for rank in told)
    assert first == second, "every rank says the same"
    assert first.startswith(f"the ranks differ after step 6: parameter {TABLE} is ")
    assert re.search(r"is \w{16} on rank 0 and \w{16} on rank 1(, and \d+ more differ)? \(all agreed after step 4\)", first)
    assert "\n" not in first


def test_a_flipped_bit_of_an_average_stops_all_ranks_too(told):
    first, second = (rank["average"] for rank in told)
    assert first == second and first.startswith(f"the ranks differ after step 6: average of {TABLE} is ")


def test_ranks_that_agree_train_as_if_nobody_looked(told, out):
    assert [rank[name] for rank in told for name in ("watched", "alone")] == [None] * 4
    watched, alone = out / "watched" / "r", out / "alone" / "r"
    assert same(checkpoint(watched)["state_dict"], checkpoint(alone)["state_dict"])
    assert lines_of(watched) == lines_of(alone)


def test_two_ranks_say_of_their_strata_what_one_says(told, out):
    training.train(tiny_config(out / "data", out / "one", *WORDS))
    ours, expected = (
        [{k: v for k, v in line.items() if k.startswith("strata/")} for line in lines_of(out / name / "r") if "lr" in line]
        for name in ("alone", "one")
    )
    assert [line == pytest.approx(good, rel=1e-3, abs=1e-3) for line, good in zip(ours, expected, strict=True)] == [True] * 4
    assert {"strata/cosine/0-2", "strata/weight/1", "strata/missing/0", "strata/ess"} <= ours[0].keys()


def look_each(rank):
    """What every rank is told about reports that differ on rank 1 in one number; which parameters are compared; a sharded norm."""
    looks = {what: look(report_of_rank(rank, what)) for what in ("weight", "count", "nothing")}
    module = half_sharded()
    for parameter in module.parameters():
        parameter.grad = parameter.detach()
    return looks, list(statement(module, None)), gradient_norm(module)


def report_of_rank(rank, what):
    counts_K, weights_K = (torch.tensor(values, dtype=torch.float64) for values in ([4.0, 9.0], [0.1, 0.9]))
    if rank == 1 and what == "weight":
        weights_K[0] += 2**-56  # the last bit of 0.1
    if rank == 1 and what == "count":
        counts_K[1] += 1
    return StepReport(0, counts_K, weights_K, None)


def look(report):
    torch.manual_seed(0)
    strategy = SimpleNamespace(report=report, step_losses=None, metrics=dict)
    module = nn.Linear(3, 2)
    trainer = SimpleNamespace(global_step=1, strategy=strategy, callbacks=[], lightning_module=module)
    try:
        RankConsistency(1).on_train_batch_end(trainer, module, None, None, 0)
    except UserError as error:
        return str(error)
    return None


def half_sharded():
    mesh = init_device_mesh("cpu", (3,))
    module = nn.ParameterDict()
    module["cut"] = nn.Parameter(distribute_tensor(torch.arange(6.0), mesh, [Shard(0)]))
    module["whole"] = nn.Parameter(distribute_tensor(torch.arange(6.0), mesh, [Replicate()]))
    return module


def test_weights_and_counts_are_compared_to_the_last_bit_and_parts_of_parameters_not_at_all(tmp_path):
    told = spawn(look_each, 3, tmp_path / "store")
    for looks, names, norm in told:
        weight = "the weight of stratum 0 is 0.1 on ranks 0, 2 and 0.10000000000000002 on rank 1 (this is the first check)"
        assert weight in looks["weight"]
        assert "the count of stratum 1 is 9 on ranks 0, 2 and 10 on rank 1 (this is the first check)" in looks["count"]
        assert looks["nothing"] is None
        assert names == ["parameter whole"]
        assert norm == {"grad_norm": pytest.approx(math.sqrt(2 * sum(i * i for i in range(6))))}, "of all shards, on every rank"
