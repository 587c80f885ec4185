"""A memory among two processes: one counts, both weigh, and what is written is byte for byte what one process writes."""

import shutil

import pytest

import ltrec.launch.training as training
from ltrec.core.errors import UserError
from ltrec.distributed.collectives import by_first
from ltrec.launch.evaluating import evaluate_run
from ltrec.launch.processes import detect
from ltrec.launch.run_folder import RunFolder
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


def test_two_processes_choose_as_one_does(tmp_path):
    data = tiny_data(tmp_path / "data")
    one = training.train(tiny_config(data, tmp_path / "one", *WORDS))
    again = RunFolder(shutil.copytree(one.path, tmp_path / "again"))
    shutil.rmtree(again.memory)
    evaluate_run(one, "test", "best", detect())
    found = spawn(evaluate_and_train, 2, tmp_path / "store", again.path, data, tmp_path / "two")
    assert found == [(0, True), (0, True)]
    assert [name for name in FILES if (again.path / name).read_bytes() != (one.path / name).read_bytes()] == []
