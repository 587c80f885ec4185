"""The screen of a real training run on a pseudo-terminal."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.support.source_tree import ROOT
from tests.support.terminal import Terminal
from tests.support.tiny_run import tiny_words

EPOCH = re.compile(r"epoch +\d+/\d+  loss \d")
GAUGE = re.compile("[━╌]{5,}")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of six epochs at 80 columns, to its end."""
    folder = tmp_path_factory.mktemp("run")
    terminal = Terminal(["train", *tiny_words(data, folder, "trainer.max_epochs=6")], folder=folder)
    terminal.finish()
    return terminal, folder


def refuse_a_broken_screen(terminal: Terminal, epochs: int) -> None:
    """No row holds two things, the moving rows are two and whole, and an epoch leaves one row."""
    moving = 0
    for frame in terminal.frames:
        progress_text = [number for number, row in enumerate(frame) if GAUGE.search(row)]
        assert len(progress_text) <= 1, "\n".join(frame)
        for number in progress_text:
            moving += 1
            assert re.match(r"epoch \d+/\d+ [━╌]+ +\d+%", frame[number]), frame[number]
            below = [row for row in frame[number + 1 :] if row]
            assert len(below) <= 1 and not any(EPOCH.match(row) for row in below), "\n".join(frame)
    assert moving
    rows = terminal.rows()
    told = [row for row in rows if "epoch" in row and "loss" in row]
    assert len(told) == epochs and all(EPOCH.match(row) for row in told), terminal.text()
    assert [int(re.search(r"\d+", row)[0]) for row in told] == [*range(1, epochs + 1)]
    assert not any(GAUGE.search(row) for row in rows), terminal.text()


def test_one_row_per_epoch_and_nothing_else_remains(run):
    terminal, folder = run
    assert terminal.code == 0
    refuse_a_broken_screen(terminal, 6)
    assert "ends with step 24, sooner after 10 validations without a rise" in terminal.text()
    assert f"next: ltrec evaluate {folder}/r" in terminal.text().replace("\n", "")


def test_the_second_row_and_the_time_left_are_shown(run):
    frames = ["\n".join(frame) for frame in run[0].frames]
    assert any(re.search(r"%  step \d+/24  at most \d+", frame) for frame in frames)
    assert any(re.search(r"^loss \d.*ms a step", frame, re.MULTILINE) for frame in frames)
    assert any(re.search(r"^loss \d\S+  NDCG@10 0\.\d", frame, re.MULTILINE) for frame in frames)


def test_a_finished_run_says_so_and_changes_no_file(run, data):
    folder = run[1]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "r").rglob("*") if path.is_file()}
    words = tiny_words(data, folder, "trainer.max_epochs=6", "tracking.wandb=offline")
    again = subprocess.run([sys.executable, "-m", "ltrec", "train", *words], capture_output=True, text=True, cwd=ROOT, check=True)
    assert again.stdout.startswith("finished at epoch 6 (trainer.max_epochs=6); nothing to do"), again.stdout
    assert "wandb" not in again.stderr.lower() and "Weights" not in again.stderr
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "r").rglob("*") if path.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 120, 200])
def test_other_widths(columns, data, tmp_path):
    terminal = Terminal(["train", *tiny_words(data, tmp_path)], folder=tmp_path, columns=columns)
    terminal.finish()
    assert terminal.code == 0
    refuse_a_broken_screen(terminal, 3)


def test_ctrl_c_names_the_checkpoint_also_after_the_window_shrinks(data, tmp_path):
    words = tiny_words(data, tmp_path, "trainer.max_epochs=100000", "trainer.patience=0", "trainer.checkpoint_every_steps=0")
    terminal = Terminal(["train", *words], folder=tmp_path, columns=120)
    for epoch, columns in ((3, 100), (5, 80), (7, 70)):
        terminal.until(f"epoch {epoch:>6}/")
        terminal.resize(columns)
    terminal.until("epoch      9/")
    terminal.press(b"\x03")
    terminal.finish()
    assert terminal.code == 130
    said, last = "".join(terminal.text().split()), tmp_path / "r" / "checkpoints" / "last.ckpt"
    assert re.search(rf"stoppedatstep\d+,asasked,savedin{re.escape(str(last))};repeatthecommandtoresume", said), terminal.text()
    assert last.exists()
    left = sum(bool(GAUGE.search(row)) for row in terminal.rows())
    assert left <= 1, terminal.text()  # a row formatted for the old width at the moment of one resize; a fault leaves one each time


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_names_the_checkpoint(data, tmp_path):
    words = tiny_words(data, tmp_path, "trainer.max_epochs=100000", "trainer.patience=0", "trainer.listen_every_steps=100000")
    words += ["trainer.checkpoint_every_steps=0"]
    terminal = Terminal(["train", *words], folder=tmp_path)
    terminal.until("epoch      2/")
    os.kill(terminal.process.pid, signal.SIGSTOP)  # so that both are there when it goes on
    terminal.press(b"\x03")
    time.sleep(0.2)
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.press(b"\x03")
    terminal.finish()
    assert terminal.code == 130
    assert re.search(r"(interrupted|stopped) at step \d+", terminal.text()), terminal.text()
    assert "repeatthecommandtoresume" in "".join(terminal.text().split())


def test_a_pipe_gets_plain_lines(data, tmp_path):
    words = [
        sys.executable,
        "-m",
        "ltrec",
        "train",
        *tiny_words(data, tmp_path, "trainer.max_epochs=2", "trainer.log_every_steps=0"),
    ]
    found = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "\x1b" not in found.stdout + found.stderr and "\r" not in found.stdout
    assert not GAUGE.search(found.stdout)
    assert sum(bool(EPOCH.match(line)) for line in found.stdout.splitlines()) == 2
