"""kill -9 of real `ltrec train` processes at arbitrary moments: resumed, they end bit for bit as an undisturbed run."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.run.train import train
from ltrec.training.callbacks.telemetry import Telemetry
from tests.support.commands import ltrec, start
from tests.support.killable_job import lines_written, wait_for, workers
from tests.support.tiny_run import checkpoint, lines_of, refuse_differences, tiny_words

EPOCHS = 40  # 160 steps: long enough to be met in the middle
WORDS = [f"trainer.max_epochs={EPOCHS}", "trainer.patience=0", "trainer.log_every_steps=1", "trainer.checkpoint_every_steps=3"]


def finish(data, out: Path, *, processes=1) -> Path:
    words = tiny_words(data, out, *WORDS)
    if processes > 1:
        ltrec("train", *words, processes=processes)
    else:
        train(load([], words))  # in this process: the same bits, sooner
    assert checkpoint(out / "r")["global_step"] == 4 * EPOCHS
    return out / "r"


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return finish(data, tmp_path_factory.mktemp("undisturbed"))


def kill_at(data, out: Path, lines: int, delay: float = 0.0) -> None:
    """Start training and kill it once metrics.jsonl has so many lines (0: once the run folder is there), a little later."""
    run = out / "r"
    with start("train", *tiny_words(data, out, *WORDS)) as process:
        wait_for(lambda: (run / "config.yaml").exists() and lines_written(run) >= lines, process)
        time.sleep(delay)
        process.kill()
        assert process.wait(30) == -signal.SIGKILL


def no_torn_file(run: Path) -> bool:
    return next(run.rglob("*.tmp"), None) is None


def test_killed_before_the_first_checkpoint_and_in_the_middle(data, undisturbed, tmp_path):
    kill_at(data, tmp_path, 0)
    assert not (tmp_path / "r" / "checkpoints" / "last.ckpt").exists()
    kill_at(data, tmp_path, 60)
    assert 0 < checkpoint(tmp_path / "r")["global_step"] < 4 * EPOCHS
    refuse_differences(finish(data, tmp_path), undisturbed)
    assert no_torn_file(tmp_path / "r")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_three_times_at_any_moment(seed, data, undisturbed, tmp_path):
    draw = random.Random(seed)
    for most in (40, 90, 140):
        done = lines_written(tmp_path / "r")
        kill_at(data, tmp_path, min(most, done + draw.randrange(1, 40)), draw.random() * 0.02)
    refuse_differences(finish(data, tmp_path), undisturbed)
    assert no_torn_file(tmp_path / "r")


def test_ctrl_c_exits_with_130(data, tmp_path, monkeypatch, capsys):
    def interrupt(self, trainer, *_):
        if trainer.global_step == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(Telemetry, "on_train_batch_end", interrupt)
    assert main(["train", *tiny_words(data, tmp_path, *WORDS)]) == 130
    told = f"interrupted at step 7; saved: {tmp_path}/r/checkpoints/last.ckpt, step 6; repeat the command to resume"
    assert capsys.readouterr().err.splitlines()[-1] == told
    assert checkpoint(tmp_path / "r")["global_step"] == 6


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_and_a_resume(data, undisturbed, tmp_path):
    log = tmp_path / "log"
    with open(log, "w") as output, start("train", *tiny_words(data, tmp_path, *WORDS), output=output) as process:
        wait_for(lambda: lines_written(tmp_path / "r") >= 20, process)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    shown = log.read_text().splitlines()
    assert shown[-1].endswith("last.ckpt; repeat the command to resume")
    assert not [line for line in shown if "Traceback" in line]
    refuse_differences(finish(data, tmp_path), undisturbed)


def test_one_process_finishes_a_run_of_two(data, tmp_path):
    """The job ends soon, and not well. Dropout is drawn by rank, so without it one process does what two do, but for rounding."""
    words = ["trainer.max_epochs=15", "trainer.validate_every_epochs=5", "model.dropout=0", "optim.eps=1e-3"]
    with start("train", *tiny_words(data, tmp_path, *WORDS, *words), processes=2) as torchrun:
        wait_for(lambda: lines_written(tmp_path / "r") >= 5, torchrun)
        os.kill(workers(torchrun.pid)["1"], signal.SIGKILL)
        assert torchrun.wait(60) != 0
    left = checkpoint(tmp_path / "r")["global_step"]
    assert 0 < left < 60
    resumed, alone = (train(load([], tiny_words(data, out, *WORDS, *words))).path for out in (tmp_path, tmp_path / "alone"))
    assert checkpoint(resumed)["StreamDataModule"] == checkpoint(alone)["StreamDataModule"], "the same rows were seen"
    for mine, expected in zip(lines_of(resumed), lines_of(alone), strict=True):
        assert mine == pytest.approx(expected, rel=1e-2, abs=1e-2)
    expected = checkpoint(alone)["state_dict"]
    assert all((weight - expected[name]).abs().max() < 1e-3 for name, weight in checkpoint(resumed)["state_dict"].items())


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["0", "1"])
def test_one_rank_of_two_is_killed(victim, data, undisturbed, tmp_path):
    """The job ends, and not well; the next one goes on, and has seen the same rows as one process would have."""
    run = tmp_path / "r"
    with start("train", *tiny_words(data, tmp_path, *WORDS), processes=2) as torchrun:
        wait_for(lambda: lines_written(run) >= 30, torchrun)
        os.kill(workers(torchrun.pid)[victim], signal.SIGKILL)
        assert torchrun.wait(90) != 0
    assert 0 < checkpoint(run)["global_step"] < 4 * EPOCHS
    shutil.copytree(run, tmp_path / "alone" / "r")
    alone = finish(data, tmp_path / "alone")
    assert checkpoint(alone)["StreamDataModule"] == checkpoint(undisturbed)["StreamDataModule"], "one process may go on for two"
    finish(data, tmp_path, processes=2)
    assert checkpoint(run)["StreamDataModule"] == checkpoint(undisturbed)["StreamDataModule"]
    whole = finish(data, tmp_path / "whole", processes=2)
    refuse_differences(run, whole)
    assert [line["step"] for line in lines_of(run)] == [line["step"] for line in lines_of(undisturbed)]
