"""Handlers only note; Lightning's are off, and its names are those of the installed version."""

import inspect
import os
import signal
import threading

import pytest
import pytorch_lightning as pl
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from ltrec.core.errors import Stopped
from ltrec.training.stop_signals import END, NOTHING, REQUEUE, STOP_SIGNALS, catch_stop_signals, disable_lightning_signals


def test_signals_are_noted_and_the_strongest_wish_stays():
    with catch_stop_signals() as stop:
        assert stop.kind == NOTHING
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.kind == REQUEUE
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.kind == END


def test_handlers_are_those_of_before_afterwards():
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    with pytest.raises(KeyError), catch_stop_signals():
        assert all(signal.getsignal(number) != handler for number, handler in before.items())
        raise KeyError
    assert {number: signal.getsignal(number) for number in STOP_SIGNALS} == before


def test_a_thread_that_may_not_set_handlers_hears_nothing():
    heard = []

    def work():
        with catch_stop_signals() as stop:
            heard.append(stop.kind)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [NOTHING]


def test_lightning_does_nothing_about_signals_any_more():
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    disable_lightning_signals(trainer)
    before = signal.getsignal(signal.SIGTERM)
    trainer._signal_connector.register_signal_handlers()
    assert signal.getsignal(signal.SIGTERM) is before
    assert not trainer.received_sigterm
    trainer._signal_connector.teardown()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_names_that_are_switched_off_are_what_lightning_calls():
    """If this fails after an upgrade: look for where Lightning now sets its handlers, and for what it does in every step."""
    assert "signal.SIGTERM" in inspect.getsource(_SignalConnector.register_signal_handlers)
    assert "self._signal_connector.register_signal_handlers()" in inspect.getsource(pl.Trainer._run)
    assert "self._broadcast_sigterm_tensor()" in inspect.getsource(_TrainingEpochLoop.advance)


def test_a_rank_that_stopped_because_another_was_asked_outlives_its_own_signal():
    """Slurm sends SIGUSR1 node by node; what arrives late must not make a failure of a job that is to come back."""
    before = signal.getsignal(signal.SIGUSR1)
    try:
        with pytest.raises(Stopped), catch_stop_signals():
            raise Stopped(3, requeue=True)
        os.kill(os.getpid(), signal.SIGUSR1)  # or this is the end of the tests
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(Stopped), catch_stop_signals():
        raise Stopped(3, requeue=False)
    assert signal.getsignal(signal.SIGUSR1) == before
