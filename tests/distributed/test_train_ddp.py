"""Two torchrun processes train like one: same global batches, same losses; and any number of processes evaluates alike."""

from pathlib import Path

import pytest

from ltrec.stages.checkpoint_io import read_checkpoint
from tests.support.commands import ltrec
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
    return folder


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


def test_evaluation_does_not_depend_on_the_number_of_processes(alone):
    files = {}
    for size in (1, 2, 3):
        for old in (alone / "eval").glob("*.parquet"):
            old.unlink()
        ltrec("evaluate", alone, processes=size)
        files[size] = {p.name: p.read_bytes() for p in sorted((alone / "eval").glob("*.parquet"))}
    assert set(files[1]) == {"test.parquet", "baseline-popularity-test.parquet", "baseline-last-item-test.parquet"}
    assert files[1] == files[2] == files[3]


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
