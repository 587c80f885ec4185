"""The context of every API call: silent by default, one-line errors, and the process is left as it was."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ltrec.config.source import COMMAND_LINE
from ltrec.core.errors import Stopped, UserError
from ltrec.run.process.system_errors import explain
from ltrec.terminal.screen import Screen, open_screen, screen, screen_is_open

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


IN_THE_CALL = "in the call"
"""How messages refer to settings that come from Python code."""


@dataclass(frozen=True, slots=True)
class Session:
    """One call.

    Attributes:
        screen: where it prints.
        where: how messages refer to the origin of settings.
    """

    screen: Screen
    where: str


@contextmanager
def session(*, progress: bool) -> Iterator[Session]:
    """One call. A command that calls the API owns its process and its terminal already, and keeps both.

    Args:
        progress: show what the command line shows; otherwise its lines go to the logger `ltrec` at level INFO.

    Raises:
        UserError: also for failures of the system and of libraries (a full disk, a path that may not be written), in the
            command line's arguments.
    """
    if screen_is_open():
        yield Session(screen(), COMMAND_LINE)
        return
    with _left_as_found(), open_screen(silent=not progress) as own:
        try:
            yield Session(own, IN_THE_CALL)
        except (UserError, Stopped):
            raise
        except Exception as error:
            if (line := explain(error, ())) is None:
                raise
            raise UserError(line) from error


@contextmanager
def _left_as_found() -> Iterator[None]:
    """Environment, signal handlers, threads, generator, warnings and levels of loggers are afterwards what they were before."""
    variables, put_torch_back = dict(os.environ), _torch_as_found()
    levels, handlers = _levels(), {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
        put_torch_back()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if signal.getsignal(number) is not handler:
                    signal.signal(number, handler)


def _torch_as_found() -> Callable[[], None]:
    """What puts torch's threads and generator back. Not loaded, it has neither; calls that compute are loaded together with it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return lambda: None
    threads, generator = torch.get_num_threads(), torch.get_rng_state()

    def put_back() -> None:
        torch.set_num_threads(threads)
        torch.set_rng_state(generator)

    return put_back


def _levels() -> dict[str, int]:
    known = logging.Logger.manager.loggerDict.items()
    return {name: logger.level for name, logger in known if isinstance(logger, logging.Logger)}
