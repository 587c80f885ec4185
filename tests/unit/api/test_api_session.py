"""A call of the API leaves the process as it was, says nothing, and fails in one line."""

from __future__ import annotations

import logging
import os
import signal
import warnings

import pytest
import torch

from ltrec.api.session import IN_THE_CALL, session
from ltrec.config.source import COMMAND_LINE
from ltrec.core.errors import Stopped, UserError
from ltrec.terminal.screen import note, open_screen, say, screen_is_open


def test_nothing_is_printed_unless_asked(capfd):
    with session(progress=False):
        say("a line")
        note("a note")
    assert capfd.readouterr() == ("", "")
    with session(progress=True):
        say("a line")
        note("a note")
    assert capfd.readouterr() == ("a line\n", "a note\n")


def test_what_is_not_printed_is_logged(caplog):
    caplog.set_level(logging.INFO, "ltrec")
    with session(progress=False):
        say("a line")
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [("ltrec", "INFO", "a line")]


def test_the_process_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.delenv("NEW", raising=False)
    handler, threads, level = signal.getsignal(signal.SIGUSR1), torch.get_num_threads(), logging.getLogger("asyncio").level
    filters, generator = list(warnings.filters), torch.get_rng_state()
    with pytest.raises(Stopped), session(progress=False):
        os.environ["NEW"], os.environ["KEPT"] = "1", "2"
        signal.signal(signal.SIGUSR1, lambda *_: None)
        torch.set_num_threads(threads + 1)
        torch.rand(3)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore")
        raise Stopped(3, requeue=True)
    assert "NEW" not in os.environ and os.environ["KEPT"] == "1"
    assert signal.getsignal(signal.SIGUSR1) is handler and torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator) and warnings.filters == filters
    assert logging.getLogger("asyncio").level == level and not screen_is_open()


def test_the_system_fails_in_the_words_of_the_command_line(tmp_path):
    with pytest.raises(UserError, match=r"no such file or folder: .*none") as caught, session(progress=False):
        open(tmp_path / "none").close()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_bug_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), session(progress=False):
        _ = 1 / 0


def test_a_command_keeps_its_terminal_and_its_process(capfd, monkeypatch):
    monkeypatch.delenv("NEW", raising=False)
    with open_screen() as screen, session(progress=False) as call:
        assert call.screen is screen and call.where == COMMAND_LINE
        os.environ["NEW"] = "1"
        say("a line")
    assert capfd.readouterr().out == "a line\n" and os.environ.pop("NEW") == "1"
    with session(progress=False) as call:
        assert call.where == IN_THE_CALL
