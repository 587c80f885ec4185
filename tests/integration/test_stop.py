"""A run that is asked to stop at any moment saves that step, ends with exit code 0, and resumes as if undisturbed."""

import signal
import time

import pytest
from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from ltrec.cli.main import main
from ltrec.core.errors import Stopped
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.config_file import folder_of
from tests.support.commands import start
from tests.support.extra_callbacks import extra
from tests.support.killable_job import lines_written
from tests.support.timeouts import scaled
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, refuse_differences, tiny_config, tiny_words

WORDS = ["trainer.checkpoint_every_steps=0", "trainer.log_every_steps=1", "trainer.listen_every_steps=1", "trainer.patience=0"]
LONG = [*WORDS, "trainer.max_epochs=60"]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return training.train(tiny_config(data, tmp_path_factory.mktemp("undisturbed"), *WORDS)).path


class AskAt(Callback):
    """Writes the file when it is time."""

    def __init__(self, run: RunFolder, step, hook):
        self.stop, self.step, self.hook = run.path / "STOP", step, hook

    def on_train_batch_end(self, trainer, *_):
        if self.hook == "batch" and trainer.global_step == self.step:
            self.stop.touch()

    def on_validation_end(self, trainer, *_):
        if self.hook == "validation" and trainer.global_step == self.step:
            self.stop.touch()


def train_until_asked(config, step, hook="batch"):
    """Returns the step it stopped at."""
    with extra(AskAt(folder_of(config), step, hook), first=True), pytest.raises(Stopped) as stopped:
        training.train(config)
    assert stopped.value.requeue
    return stopped.value.step


@pytest.mark.parametrize(
    ("step", "hook"), [(1, "batch"), (3, "batch"), (4, "batch"), (4, "validation"), (6, "batch"), (11, "batch")]
)
def test_it_stops_at_exactly_that_step_and_nothing_is_lost(step, hook, data, undisturbed, tmp_path):
    config, run = tiny_config(data, tmp_path, *WORDS), tmp_path / "r"
    assert train_until_asked(config, step, hook) == step
    assert checkpoint(run)["global_step"] == step
    assert (run / "REQUEUE").read_text() == f'{{"step": {step}}}\n' and not (run / "STOP").exists()
    training.train(config)
    assert not (run / "REQUEUE").exists()
    refuse_differences(run, undisturbed)


def test_it_stops_between_optimiser_steps_only(data, tmp_path):
    words = [*WORDS, "trainer.accumulate=2"]
    config = tiny_config(data, tmp_path, *words)
    assert train_until_asked(config, 6) == 6
    training.train(config)
    refuse_differences(tmp_path / "r", training.train(tiny_config(data, tmp_path / "undisturbed", *words)).path)


@pytest.mark.parametrize("hook", ["batch", "validation"])
def test_a_stop_at_the_last_step_just_ends_the_run(hook, data, undisturbed, tmp_path):
    config = tiny_config(data, tmp_path, *WORDS)
    with extra(AskAt(folder_of(config), 3 * STEPS_PER_EPOCH, hook), first=True):
        training.train(config)
    refuse_differences(tmp_path / "r", undisturbed)
    assert not (tmp_path / "r" / "STOP").exists() and not (tmp_path / "r" / "REQUEUE").exists()


def test_stop_requests_are_checked_every_n_steps(data, tmp_path):
    config = tiny_config(data, tmp_path, *WORDS, "trainer.listen_every_steps=3")
    assert train_until_asked(config, 1) == 3


def test_a_stop_before_the_start_delays_the_run(data, undisturbed, tmp_path, capsys):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "STOP").touch()
    words = tiny_words(data, tmp_path, *WORDS)
    assert main(["train", *words]) == 0
    assert "stopped at step 0, as asked" in capsys.readouterr().err
    assert main(["train", *words]) == 0
    refuse_differences(tmp_path / "r", undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 0), (signal.SIGTERM, 143)])
def test_a_signal_to_a_real_process(number, code, data, tmp_path):
    run, log = tmp_path / "r", tmp_path / "log"
    with open(log, "w") as output, start("train", *tiny_words(data, tmp_path, *LONG), output=output) as process:
        deadline = time.monotonic() + scaled(120)
        while lines_written(run) < 20:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == code
    step = checkpoint(run)["global_step"]
    assert 12 < step < 60 * STEPS_PER_EPOCH
    assert f"stopped at step {step}, as asked" in log.read_text() and "Traceback" not in log.read_text()
    assert (run / "REQUEUE").exists() == (number == signal.SIGUSR1)
