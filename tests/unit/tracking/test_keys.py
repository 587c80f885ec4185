"""Keys are documented, the table of validations is read from metrics.jsonl, and a job is known by Slurm's numbers alone."""

import pytest

from ltrec.run.train import train
from ltrec.tracking.batch_job import group_of, slurm_job
from ltrec.tracking.epoch_table import epoch_table
from ltrec.tracking.jsonl import JsonlLogger
from ltrec.tracking.keys import KEYS, key_of, summary_of
from tests.support.tiny_run import lines_of, tiny_config, tiny_data

STRATIFIED = (
    "gradients.name=stratified",
    "adversary.weight=0.1",
    "plugin.name=bottleneck",
    "plugin.switch.by=step",
    "plugin.switch.at=3",
)


@pytest.mark.parametrize("words", [(), STRATIFIED], ids=["joint", "everything"])
def test_every_key_that_a_run_writes_is_documented(words, tmp_path):
    run = train(tiny_config(tiny_data(tmp_path / "data"), tmp_path, *words, "trainer.max_epochs=2"))
    written = {key for line in lines_of(run.path) for key in line} - {"step"}
    assert len(written) > 8
    assert [key for key in sorted(written) if key_of(key) is None] == []


def test_the_best_validation_is_kept_and_the_last_of_the_rest():
    assert (summary_of("val/ndcg@10/tail"), summary_of("train/loss")) == ("max", "min")
    assert summary_of("train/loss/0") is summary_of("lr") is summary_of("mine") is None
    assert all(key.meaning for key in KEYS)


def test_the_table_is_read_from_the_lines(tmp_path):
    logger = JsonlLogger(tmp_path / "metrics.jsonl")
    logger.log_metrics({"train/loss": 1.0}, 2)
    logger.log_metrics({"epoch": 1, "val/hr@10": 0.5, "val/hr@10/tail": 0.25, "val/ndcg@10": 0.125}, 4)
    logger.log_metrics({"epoch": 2, "stage": 2, "val/hr@10/tail": 0.75}, 8)
    columns, rows = epoch_table(logger.path, method="pin", run="pin-seed1", seed=1)
    assert columns == ["method", "run", "seed", "epoch", "step", "stage", "group", "hr@10", "ndcg@10"]
    assert rows == [
        ["pin", "pin-seed1", 1, 1, 4, 1, "all", 0.5, 0.125],
        ["pin", "pin-seed1", 1, 1, 4, 1, "tail", 0.25, None],
        ["pin", "pin-seed1", 1, 2, 8, 2, "tail", 0.75, None],
    ]
    assert epoch_table(tmp_path / "none", method="m", run="r", seed=0)[1] == []


def test_a_job_is_told_by_what_is_no_secret():
    variables = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "5", "SLURM_JWT": "secret", "WANDB_API_KEY": "secret"}
    assert slurm_job(variables) == {"job_id": "7", "array_job_id": "5"}
    assert slurm_job({}) == {}
    assert group_of(slurm_job(variables)) == "slurm-5"
    assert group_of({"job_id": "7"}) is None
