"""A memory in two processes: one counts, both choose the weight, and the files are those of one process, byte for byte."""

import shutil

import pytest

import ltrec.run.train as training
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.distributed.collectives import by_first
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import tiny_config, tiny_data

WORDS = ["plugin.name=memory", "stream.lanes=12", "trainer.max_epochs=1", "evaluation.chunk_rows=16", "plugin.per_stratum=true"]
FILES = ["memory/choices.json", "memory/neighbours.parquet", "eval/test.parquet", "eval/baseline-popularity-test.parquet"]


def evaluate_and_train(rank, one, data, out):
    act_as_rank(rank, 2)
    evaluate_run(RunFolder(one), "test", "best", detect())
    run = training.train(tiny_config(data, out, *WORDS))
    with pytest.raises(UserError, match=r"^only the first knows$"):
        by_first(_fault)
    return by_first(lambda: rank), (run.memory / "choices.json").exists()


def _fault():
    raise UserError("only the first knows")


def test_two_processes_make_the_choice_of_one(tmp_path):
    data = tiny_data(tmp_path / "data")
    one = training.train(tiny_config(data, tmp_path / "one", *WORDS))
    again = RunFolder(shutil.copytree(one.path, tmp_path / "again"))
    shutil.rmtree(again.memory)
    evaluate_run(one, "test", "best", detect())
    found = spawn(evaluate_and_train, 2, tmp_path / "store", again.path, data, tmp_path / "two")
    assert found == [(0, True), (0, True)]
    assert [name for name in FILES if (again.path / name).read_bytes() != (one.path / name).read_bytes()] == []


SHARDED = {
    "fsdp2": ["gradients.name=stratified", "strategy.name=fsdp2"],
    "zero-2": ["gradients.name=stratified", "strategy.name=deepspeed_stage_2"],
}


def train_sharded(rank, data, out):
    act_as_rank(rank, 2)
    for name, words in SHARDED.items():
        plugins = ["plugin.trained.name=bottleneck", "plugin.trained.switch.by=step", "plugin.trained.switch.at=2"]
        training.train(tiny_config(data, out / name, *WORDS, *plugins, *words))


@pytest.mark.slow
def test_a_run_with_sharded_weights_and_plugins_ends_with_its_choice(tmp_path):
    """Which one process finds, and would make alike."""
    data = tiny_data(tmp_path / "data")
    spawn(train_sharded, 2, tmp_path / "store", data, tmp_path, timeout=240)
    for name in SHARDED:
        run = RunFolder(tmp_path / name / "r")
        before = {path.name: path.read_bytes() for path in run.memory.iterdir()}
        assert before.keys() == {"choices.json", "neighbours.parquet"}
        for path in run.memory.iterdir():
            path.unlink()
        evaluate_run(run, "test", "best", detect())
        assert {path.name: path.read_bytes() for path in run.memory.iterdir()} == before, name
