"""Two torchrun processes train like one: same global batches, same losses; and any number of processes evaluates alike."""

from pathlib import Path

import pytest
import torch

from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.training.checkpoints.io import read_checkpoint
from tests.support.commands import ltrec
from tests.support.naive_reach import give_reach, naive_reach, shard_rows
from tests.support.shards import random_users, write_dataset
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


def train(processes, data, out, name, *words):
    ltrec("train", f"data.path={data}", f"out={out}", f"name={name}", *COMMON, *words, processes=processes)
    return out / name


def losses(run: Path):
    return column(run, "train/loss"), column(run, "val/ndcg@10")


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    return train(1, data, tmp_path_factory.mktemp("alone"), "one")


@pytest.mark.parametrize("words", [[], ["trainer.accumulate=2"]], ids=["plain", "accumulate"])
def test_two_ranks_train_like_one(data, alone, tmp_path, words):
    together = train(2, data, tmp_path, "two", *words)
    mine, expected = losses(together), losses(alone)
    assert len(mine[0]) == len(expected[0]) == 32
    assert mine[0][:30] == pytest.approx(expected[0][:30], rel=1e-4)
    assert mine[1] == pytest.approx(expected[1], abs=0.05)
    one, two = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (alone, together))
    assert two["StreamDataModule"] == one["StreamDataModule"], "the digest proves that the same rows were seen"
    for name, weight in one["state_dict"].items():
        assert (two["state_dict"][name] - weight).abs().max() < 1e-3, name


@pytest.mark.parametrize("words", [[], ["gradients.name=stratified", "strategy.name=ddp"]], ids=["joint", "stratified"])
def test_two_ranks_average_like_one(data, tmp_path, words):
    """The average, its validation, and both kinds of scores; an average of accumulated steps."""
    words = [*words, "trainer.ema=1", "trainer.max_epochs=2", "optim.lr=0.01", "optim.eps=1e-3", "trainer.accumulate=2"]
    runs = [train(size, data, tmp_path, f"r{size}", *words, "strategy.check_every_steps=1") for size in (1, 2)]
    one, two = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in runs)
    assert one["average"]["updates"] == two["average"]["updates"] == 8
    for name, weight in one["average"]["state_dict"].items():
        torch.testing.assert_close(two["average"]["state_dict"][name], weight, rtol=1e-4, atol=1e-5, msg=name)
    assert losses(runs[1])[1] == pytest.approx(losses(runs[0])[1], abs=0.02)
    found = {}
    for which in ("average", "raw"):
        ltrec("evaluate", runs[1], "--weights", which, "--split", "valid", "--checkpoint", "last", processes=2)
        table = EvalTable.read(runs[1] / "eval" / "valid.parquet")
        found[which] = float(ndcg_at(table.column("rank"), 10).mean())
        assert table.source["weights"] == which
        assert has_reach(table, data, "valid")
    assert found["average"] == pytest.approx(losses(runs[1])[1][-1], abs=1e-12) and found["raw"] != found["average"]


def test_in_batch_negatives_are_gathered_over_ranks(data, tmp_path):
    words = ["objective.name=in_batch", "evaluation.chunk_rows=1000"]  # one chunk of validation users for two ranks
    words_common = [w for w in COMMON if not w.startswith("objective.")]
    runs = []
    for size in (1, 2):
        name = f"r{size}"
        here = [f"data.path={data}", f"out={tmp_path}", f"name={name}"]
        ltrec("train", *here, *words_common, *words, "trainer.max_epochs=2", processes=size)
        runs.append(losses(tmp_path / name))
    assert runs[1][0] == pytest.approx(runs[0][0], rel=1e-4)
    assert runs[1][1] == pytest.approx(runs[0][1], abs=0.05)


def test_evaluation_does_not_depend_on_the_number_of_processes(alone, data):
    files = {}
    for size in (1, 2, 3):
        for old in (alone / "eval").glob("*.parquet"):
            old.unlink()
        ltrec("evaluate", alone, processes=size)
        files[size] = {p.name: p.read_bytes() for p in sorted((alone / "eval").glob("*.parquet"))}
    assert set(files[1]) == {"test.parquet", *(f"baseline-{name}-test.parquet" for name in BASELINES)}
    assert files[1] == files[2] == files[3]
    for name in files[1]:
        assert has_reach(EvalTable.read(alone / "eval" / name), data, "test")


@pytest.mark.slow
def test_smoke_starts_afresh_whatever_a_failed_attempt_left(data, tmp_path):
    words = [f"data.path={data}", f"out={tmp_path}", *COMMON, "trainer.max_epochs=1"]
    ltrec("train", *words, "name=two-smoke")
    (tmp_path / "two-smoke" / "THROW-AWAY").touch()
    done = ltrec("train", *words, "name=two", "--smoke", processes=2)
    assert "starting at step 0" in done.stdout and "smoke test passed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_world_that_does_not_divide_the_lanes_is_refused(data, tmp_path):
    words = ["stream.lanes=15", "stream.batch_rows=30"]
    done = ltrec("train", f"data.path={data}", f"out={tmp_path}", "name=odd", *COMMON, *words, processes=2, check=False)
    assert done.returncode != 0
    assert "2 processes do not divide 15 lanes" in done.stderr
    assert not (tmp_path / "odd").exists()
