"""Two processes train like one: same global batches, same losses; and any number of processes evaluates alike."""

import shutil
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from ltrec.training.checkpoints.io import read_checkpoint
from tests.support.commands import ltrec
from tests.support.naive_reach import give_reach, naive_reach, shard_rows
from tests.support.ranks import act_as_rank
from tests.support.shards import random_users, write_dataset
from tests.support.spawn import spawn
from tests.support.tiny_run import column

COMMON = [
    "stream.batch_rows=24",
    "stream.lanes=12",
    "stream.max_len=8",
    "stream.window=random",
    "model.width=16",
    "model.dropout=0",
    "objective.negatives=8",
    "trainer.max_epochs=8",
    "trainer.log_every_steps=1",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "evaluation.chunk_rows=16",
]


WEIGHTS = ("average", "raw")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, random_users([40, 30, 20], num_items=40), num_items=40)
    give_reach(folder)
    return folder


def has_reach(table, data, split):
    """Whether every user's distance is the naive one, and they are not all alike."""
    expected = naive_reach(shard_rows(data), split)
    found = dict(zip(table.column("user_key").tolist(), table.column("reach").tolist(), strict=True))
    return found == expected and len(set(found.values())) > 1


def train(data, out, name, *words):
    common = [w for w in COMMON if "objective.name=in_batch" not in words or not w.startswith("objective.")]
    training.train(load([], [f"data.path={data}", f"out={out}", f"name={name}", *common, *words]))
    return out / name


def losses(run: Path):
    return column(run, "train/loss"), column(run, "val/ndcg@10")


AVERAGED = ["trainer.ema=1", "trainer.max_epochs=2", "optim.lr=0.01", "optim.eps=1e-3", "trainer.accumulate=2"]
AVERAGED += ["strategy.check_every_steps=1"]
BY = {"joint": [], "stratified": ["gradients.name=stratified"]}
IN_BATCH = ["objective.name=in_batch", "evaluation.chunk_rows=1000", "trainer.max_epochs=2"]
"""One chunk of validation users for two ranks."""


def work(rank, size, data, copies, out):
    """Everything that one process and two must agree on, but what the command itself trains; `copies` are of a trained run."""
    if size > 1:
        act_as_rank(rank, size)
        evaluate_run(RunFolder(copies / str(size)), "test", "best", detect())
    if size < 3:
        for name, words in BY.items():
            together = ["strategy.name=ddp"] if size > 1 and words else []  # alone it would leave a group behind
            train(data, out, name, *AVERAGED, *words, *together)
        train(data, out, "in-batch", *IN_BATCH)
    if size == 2:
        train(data, out, "accumulate", "trainer.accumulate=2")
        with pytest.raises(UserError) as refused:
            train(data, out, "odd", "stream.lanes=15", "stream.batch_rows=30")
        (out / "odd.txt").write_text(str(refused.value))
        for name, weights in product(BY, WEIGHTS):
            tables = evaluate_run(RunFolder(out / name), "valid", "last", detect(), weights=weights)
            if rank == 0:
                shutil.copy(tables["sasrec"], out / f"{name}-{weights}.parquet")
            dist.barrier()


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    return train(data, tmp_path_factory.mktemp("alone"), "one")


@pytest.fixture(scope="module")
def copies(alone, tmp_path_factory):
    """A copy of a trained run for every number of processes that evaluates it."""
    folder = tmp_path_factory.mktemp("copies")
    for size in (1, 2, 3):
        shutil.copytree(alone, folder / str(size))
    return folder


@pytest.fixture(scope="module")
def runs(data, copies, tmp_path_factory):
    """W -> the folder of its runs."""
    out = {size: tmp_path_factory.mktemp(f"runs-{size}") for size in (1, 2)}
    work(0, 1, data, copies, out[1])
    spawn(work, 2, out[2] / "store", 2, data, copies, out[2], timeout=240)
    return out


def test_two_ranks_train_like_one(data, alone, tmp_path):
    """Through the command, under torchrun."""
    ltrec("train", f"data.path={data}", f"out={tmp_path}", "name=two", *COMMON, processes=2)
    refuse_other_training(alone, tmp_path / "two")


def test_two_ranks_that_accumulate_train_like_one_that_does_not(alone, runs):
    refuse_other_training(alone, runs[2] / "accumulate")


def refuse_other_training(alone, together):
    mine, expected = losses(together), losses(alone)
    assert len(mine[0]) == len(expected[0]) == 32
    assert mine[0][:30] == pytest.approx(expected[0][:30], rel=1e-4)
    assert mine[1] == pytest.approx(expected[1], abs=0.05)
    one, two = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (alone, together))
    assert two["StreamDataModule"] == one["StreamDataModule"], "the digest proves that the same rows were seen"
    for name, weight in one["state_dict"].items():
        assert (two["state_dict"][name] - weight).abs().max() < 1e-3, name


@pytest.mark.parametrize("name", BY)
def test_two_ranks_average_like_one(data, runs, name):
    """The average, its validation, and both kinds of scores; an average of accumulated steps."""
    one, two = (read_checkpoint(runs[size] / name / "checkpoints" / "last.ckpt") for size in (1, 2))
    assert one["average"]["updates"] == two["average"]["updates"] == 8
    for key, weight in one["average"]["state_dict"].items():
        torch.testing.assert_close(two["average"]["state_dict"][key], weight, rtol=1e-4, atol=1e-5, msg=key)
    validated = losses(runs[2] / name)[1]
    assert validated == pytest.approx(losses(runs[1] / name)[1], abs=0.02)
    found = {}
    for weights in WEIGHTS:
        table = EvalTable.read(runs[2] / f"{name}-{weights}.parquet")
        found[weights] = float(ndcg_at(table.column("rank"), 10).mean())
        assert table.source["weights"] == weights
        assert has_reach(table, data, "valid")
    assert found["average"] == pytest.approx(validated[-1], abs=1e-12) and found["raw"] != found["average"]


def test_in_batch_negatives_are_gathered_over_ranks(runs):
    one, two = (losses(runs[size] / "in-batch") for size in (1, 2))
    assert two[0] == pytest.approx(one[0], rel=1e-4)
    assert two[1] == pytest.approx(one[1], abs=0.05)


def test_evaluation_does_not_depend_on_the_number_of_processes(data, copies, runs, tmp_path):
    evaluate_run(RunFolder(copies / "1"), "test", "best", detect())
    spawn(work, 3, tmp_path / "store", 3, data, copies, tmp_path)  # two did with the fixture `runs`
    files = {size: {p.name: p.read_bytes() for p in (copies / str(size) / "eval").glob("*.parquet")} for size in (1, 2, 3)}
    assert set(files[1]) == {"test.parquet", *(f"baseline-{name}-test.parquet" for name in BASELINES)}
    assert files[1] == files[2] == files[3]
    for name in files[1]:
        assert has_reach(EvalTable.read(copies / "1" / "eval" / name), data, "test")


@pytest.mark.slow
def test_smoke_starts_afresh_whatever_a_failed_attempt_left(data, tmp_path):
    words = [f"data.path={data}", f"out={tmp_path}", *COMMON, "trainer.max_epochs=1"]
    ltrec("train", *words, "name=two-smoke")
    (tmp_path / "two-smoke" / "THROW-AWAY").touch()
    done = ltrec("train", *words, "name=two", "--smoke", processes=2)
    assert "starting at step 0" in done.stdout and "smoke test passed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_world_that_does_not_divide_the_lanes_is_refused(runs):
    assert (runs[2] / "odd.txt").read_text().startswith("2 processes do not divide 15 lanes")
    assert not (runs[2] / "odd").exists()
