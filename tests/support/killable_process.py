"""A process of its own that a test kills: forked from the server of `tests.support.spawn`, which has imported ltrec already."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from tests.support.spawn import ranks_context
from tests.support.timeouts import scaled


class KillableProcess:
    """Calls a module-level function, and sends back what it returns.

    Args:
        function: to call.
        args: its arguments.
    """

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        context = ranks_context()
        self._receiver, sender = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(target=_enter, args=(function, args, dict(os.environ), sender))
        self._process.start()
        sender.close()

    def __enter__(self) -> KillableProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self.kill()
        self._receiver.close()

    @property
    def returncode(self) -> int | None:
        """None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `subprocess.Popen` has it."""
        return self.returncode

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.join(scaled(30))
        assert self.returncode in (-signal.SIGKILL, 0), self.returncode

    def result(self, seconds: float = 120) -> Any:
        """What the function returned.

        Raises:
            AssertionError: it hangs, or died.
        """
        assert self._receiver.poll(scaled(seconds)), f"no result within {seconds:.0f} s"
        try:
            return self._receiver.recv()
        except EOFError:
            self._process.join(scaled(30))
            raise AssertionError(f"it died with {self.returncode}; what it wrote to stderr says why") from None


def _enter(function: Callable[..., Any], args: tuple[Any, ...], environment: dict[str, str], sender: Connection) -> None:
    os.environ.clear()  # the server has that of the moment at which it started
    os.environ.update(environment, OMP_NUM_THREADS="1")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    sender.send(function(*args))
