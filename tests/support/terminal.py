"""A terminal that a test can read: a real process on a pseudo-terminal, its screen kept by pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pyte

from tests.support.source_tree import ROOT


class Terminal:
    """Runs `python -m ltrec WORDS` and shows what a person would see.

    Attributes:
        frames: the screen after each read, as rows of text; a row that was ever wrong is in one of them.
        code: the exit code, once it has ended.
    """

    def __init__(self, words: Sequence[str], *, folder: Path, columns: int = 80, rows: int = 40, **environment: str) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self.stream = pyte.ByteStream(self.screen)
        self.frames: list[list[str]] = []
        self.code: int | None = None
        self.master, slave = pty.openpty()
        self._set_size(rows, columns)
        names = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **environment}
        kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ltrec", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**kept, **names},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        )
        os.close(slave)

    def rows(self) -> list[str]:
        """What stands on the screen and what has left it at the top, without blanks at the ends."""
        above = ["".join(line[x].data for x in range(self.screen.columns)) for line in self.screen.history.top]
        return [row.rstrip() for row in [*above, *self.screen.display]]

    def text(self) -> str:
        """All rows."""
        return "\n".join(self.rows())

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self.master, keys)

    def resize(self, columns: int) -> None:
        """Make the window another width, between two writes of the process as far as a test can see to that.

        What was drawn for the old width and arrives after the change is left on any terminal, so the process is stopped and what
        it wrote is read first. A row that it had formatted but not yet written can still slip through.
        """
        os.killpg(self.process.pid, signal.SIGSTOP)
        while self._read(time.monotonic() + 0.05):
            pass
        self.screen.resize(columns=columns)
        self._set_size(self.screen.lines, columns)
        os.killpg(self.process.pid, signal.SIGCONT)

    def until(self, wanted: str, patience_s: float = 240) -> None:
        """Read until the screen says something.

        Raises:
            AssertionError: it did not, or the process ended before.
        """
        end = time.monotonic() + patience_s
        while wanted not in self.text():
            assert self._read(end), f"no {wanted!r} on the screen:\n{self.text()}"

    def finish(self, patience_s: float = 240) -> None:
        """Read to the end."""
        end = time.monotonic() + patience_s
        while self._read(end):
            pass
        self.code = self.process.wait(max(1.0, end - time.monotonic()))
        os.close(self.master)

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
        try:
            read = os.read(self.master, 1 << 16) if ready else b""
        except OSError:  # EIO: the other side has closed
            read = b""
        if read:
            self.stream.feed(read)
            self.frames.append([row.rstrip() for row in self.screen.display])
        return bool(read)

    def _set_size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
