"""A real hang leaves the stacks of all threads in the run folder, a run that goes on leaves nothing."""

import ctypes
import threading
import time
from types import SimpleNamespace

import pytest

from ltrec.data.stream.loader import StreamLoader
from ltrec.run.train import train
from ltrec.training.callbacks.watchdog import Watchdog
from tests.support.timeouts import scaled
from tests.support.tiny_run import tiny_config

TRAINER = SimpleNamespace(global_rank=3, global_step=7)


@pytest.fixture
def watched(tmp_path):
    notes = []
    dog = Watchdog(tmp_path / "stalls", 0.4, notes.append)
    dog.on_train_start(TRAINER, None)
    yield dog, tmp_path / "stalls" / "rank-3.txt", notes
    dog.on_train_end(TRAINER, None)


def wait_for(condition):
    deadline = time.monotonic() + scaled(20)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hang_in_a_thread_of_mine(over):
    over.wait()


def test_a_hang_is_written_with_the_stacks_of_all_threads(watched):
    dog, path, notes = watched
    over = threading.Event()
    other = threading.Thread(target=hang_in_a_thread_of_mine, args=(over,))
    other.start()
    dog.on_train_batch_end(TRAINER, None, None, None, 0)
    wait_for(lambda: notes)
    over.set()
    other.join()
    text = path.read_text()
    assert "hang_in_a_thread_of_mine" in text and "wait_for" in text, "the thread, and this one"
    assert "nothing since step 7 for 0.4 s" in text
    assert notes == [f"no step for 0.4 s after step 7: stacks of all threads are in {path}"]


def test_it_is_told_once_and_again_for_the_next_hang(watched):
    dog, path, notes = watched
    wait_for(lambda: len(notes) == 1)
    time.sleep(1.0)
    assert len(notes) == 1 and path.read_text().count("nothing since") == 1
    dog.on_validation_batch_end()
    wait_for(lambda: len(notes) == 2)


def test_a_hang_that_holds_the_interpreter_shows(watched):
    dog, path, _ = watched
    dog.on_save_checkpoint()
    time.sleep(0.2)  # the alarm is wound up
    ctypes.PyDLL(None).usleep(950_000)  # unlike CDLL it keeps the lock: no Python thread runs
    assert "test_a_hang_that_holds_the_interpreter_shows" in path.read_text()


def test_beats_keep_it_quiet_and_nothing_is_left(tmp_path):
    notes = []
    dog = Watchdog(tmp_path / "stalls", 2.0, notes.append)
    dog.on_train_start(TRAINER, None)
    for _ in range(25):
        dog.on_train_batch_end(TRAINER, None, None, None, 0)
        time.sleep(0.1)
    dog.on_exception(TRAINER, None, RuntimeError())
    dog.on_train_end(TRAINER, None)  # a second time does nothing
    assert notes == [] and not (tmp_path / "stalls").exists()


def test_a_run_whose_loader_hangs_says_where_and_goes_on(data, tmp_path, monkeypatch, capsys):
    build = StreamLoader._build

    def stuck_disk(self, steps):
        if 5 in steps:
            time.sleep(2.5)
        return build(self, steps)

    monkeypatch.setattr(StreamLoader, "_build", stuck_disk)
    run = train(tiny_config(data, tmp_path, "trainer.stall_seconds=1"))
    assert "stuck_disk" in (run.path / "stalls" / "rank-0.txt").read_text()
    assert "no step for 1 s after step 5" in capsys.readouterr().err
    assert (run.checkpoints / "last.ckpt").exists()


def test_a_run_that_never_hangs_leaves_nothing_and_zero_is_off(data, tmp_path):
    for name, seconds in (("watched", 300), ("off", 0)):
        before = threading.active_count()
        run = train(tiny_config(data, tmp_path, f"name={name}", f"trainer.stall_seconds={seconds}", "trainer.max_epochs=1"))
        assert not (run.path / "stalls").exists()
        assert threading.active_count() <= before
