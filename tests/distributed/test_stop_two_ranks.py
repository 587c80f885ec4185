"""Two ranks stop at one step, whichever gets the request, wait for each other for a limited time, and are restarted by torchrun."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltrec.launch.torchrun import FRESH_STORE
from tests.support.commands import environment, ltrec, start
from tests.support.killable_job import lines_written, wait_for, workers
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, lines_of, refuse_differences, tiny_words, trained_by

EPOCHS = 40
LAST = EPOCHS * STEPS_PER_EPOCH
WORDS = [
    "gradients.name=stratified",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.patience=0",
    "trainer.log_every_steps=1",
    "trainer.checkpoint_every_steps=3",
    "trainer.listen_every_steps=1",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    ltrec("train", *tiny_words(data, out, *WORDS), processes=2)
    return out / "r"


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.mark.parametrize("asked", ["file", "0", "1"])
def test_both_ranks_stop_at_one_step_by_file_or_signal(asked, data, undisturbed, tmp_path):
    run = tmp_path / "r"
    with start("train", *tiny_words(data, tmp_path, *WORDS), processes=2) as torchrun:
        wait_for(lambda: lines_written(run) >= 20, torchrun)
        if asked == "file":
            (run / "STOP").touch()
        else:
            os.kill(workers(torchrun.pid)[asked], signal.SIGUSR1)
        assert torchrun.wait(120) == 0
    assert (run / "REQUEUE").exists() and 0 < checkpoint(run)["global_step"] < LAST
    ltrec("train", *tiny_words(data, tmp_path, *WORDS), processes=2)
    refuse_differences(run, undisturbed)


def test_a_killed_rank_is_restarted_inside_the_job(data, undisturbed, tmp_path):
    run, log = tmp_path / "r", tmp_path / "log"
    words = [*tiny_words(data, tmp_path, *WORDS), "--processes", "2", "--max-restarts", "1"]
    with open(log, "w") as output, start("launch", "local", *words, output=output) as torchrun:
        wait_for(lambda: lines_written(run) >= 30, torchrun)
        os.kill(workers(torchrun.pid)["1"], signal.SIGKILL)
        assert torchrun.wait(300) == 0, log.read_text()
    assert "resuming at step" in log.read_text()
    refuse_differences(run, undisturbed)


def test_ranks_whose_torchrun_is_killed_save_and_end(data, undisturbed, tmp_path):
    """Else they would train on, and the same command would make them two jobs in one run folder."""
    run, words = tmp_path / "r", tiny_words(data, tmp_path, *WORDS)
    with start("train", *words, processes=2) as torchrun:
        wait_for(lambda: lines_written(run) >= 20, torchrun)
        ranks = [workers(torchrun.pid)[rank] for rank in "01"]
        torchrun.kill()
        assert torchrun.wait(30) == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while any(is_running(rank) for rank in ranks):
        assert time.monotonic() < deadline, f"{ranks} train on"
        time.sleep(0.1)
    assert 0 < checkpoint(run)["global_step"] < LAST
    ltrec("train", *words, processes=2)
    refuse_differences(run, undisturbed)


def is_running(pid: int) -> bool:
    """Whether the process is there, and no zombie that nobody waits for."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("strategy", ["joint", "stratified"])
def test_a_hanging_rank_ends_the_job(strategy, data, undisturbed, tmp_path):
    """It is alive, so neither torchrun nor its sockets know; the other one gives up."""
    run, log = tmp_path / "r", tmp_path / "log"
    words = tiny_words(data, tmp_path, *WORDS, "trainer.timeout_seconds=5", *trained_by(strategy))
    with open(log, "w") as output, start("train", *words, processes=2, output=output) as torchrun:
        wait_for(lambda: lines_written(run) >= 20, torchrun)
        os.kill(workers(torchrun.pid)["1"], signal.SIGSTOP)
        assert torchrun.wait(120) == 1, log.read_text()
    assert "another process of this run has ended or hangs" in log.read_text()
    assert 0 < checkpoint(run)["global_step"] < LAST
    if strategy == "stratified":
        ltrec("train", *words, "trainer.timeout_seconds=1800", processes=2)
        refuse_differences(run, undisturbed)


def agent(port: int, *words: str, output) -> subprocess.Popen:
    """A torchrun of one process that is content with one node and takes two."""
    options = ["--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=3", "--rdzv-backend=c10d", "--rdzv-id=test"]
    meeting = [
        f"--rdzv-endpoint=127.0.0.1:{port}",
        "--rdzv-conf=last_call_timeout=10,keep_alive_interval=1,keep_alive_max_attempt=3",
    ]
    command = [sys.executable, "-m", "torch.distributed.run", *options, *meeting, "-m", "ltrec", "train", *words]
    variables = environment(**FRESH_STORE)
    return subprocess.Popen(command, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)


def test_after_a_lost_node_one_rank_resumes_on_the_same_rows(data, undisturbed, tmp_path):
    """Another world size: the same batches, the same steps; weights close, not equal."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run, log, words = tmp_path / "r", tmp_path / "log", tiny_words(data, tmp_path, *WORDS)
    with open(log, "w") as output, agent(port, *words, output=output) as first:
        time.sleep(2)  # who comes first keeps the store
        with agent(port, *words, output=output) as second:
            wait_for(lambda: lines_written(run) >= 30, first)
            assert "2 process(es)" in log.read_text()
            for pid in [*children(second.pid), second.pid]:
                os.kill(pid, signal.SIGKILL)
        assert first.wait(400) == 0, log.read_text()[-5000:]
    assert "1 process(es)" in log.read_text()
    assert checkpoint(run)["StreamDataModule"] == checkpoint(undisturbed)["StreamDataModule"]
    assert [line["step"] for line in lines_of(run)] == [line["step"] for line in lines_of(undisturbed)]
