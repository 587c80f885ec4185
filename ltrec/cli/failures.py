"""How a command ends when it does not end well: one line on stderr and an exit code. Nothing ends in a traceback on the screen.

UserError                     its line                                                2
the system, a library         a line with the path and what may be done (system.py)   2
asked to stop, and stopped    at which step, on rank 0                                0; 143 after SIGTERM, 130 after Ctrl-C
Ctrl-C twice, or elsewhere    "interrupted"                                           130
another process was lost      a line: the last checkpoint is good                     1
the reader of stdout left     nothing (`ltrec ... | head`)                            141, what a shell gives for SIGPIPE
anything else                 a line, and a file with the traceback: a bug of ltrec   70 (EX_SOFTWARE of sysexits.h)

LTREC_DEBUG=1 shows the traceback on the screen as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import traceback
from collections.abc import Sequence

import typer

from ltrec.core.errors import Stopped, UserError, first_line
from ltrec.core.secrets import masked, secrets_of
from ltrec.run.process.crash_file import write_traceback
from ltrec.run.process.standard_streams import discard_stdout
from ltrec.run.process.system_errors import explain

BUG = 70
"""Exit code of what should not happen."""

_LOST = ("gloo/transport", "DistStoreError", "DistNetworkError", "DistBackendError")
"""Words of gloo's, torch's and NCCL's complaints of a connection, in their message or their type."""

_LONGEST_LINE = 2000


def exit_code_of(error: Exception | KeyboardInterrupt, words: Sequence[str]) -> int:
    """Tell the user what `error` means and return the process's exit code.

    Args:
        error: what ended the command.
        words: the command line, where paths are looked for when the error names none.
    """
    code = _code_of(error, words)
    discard_stdout()
    return code


def _code_of(error: Exception | KeyboardInterrupt, words: Sequence[str]) -> int:
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _tell(str(error) or "interrupted", 130, error)
    if isinstance(error, Stopped):
        if os.environ.get("RANK", "0") == "0":
            typer.secho(f"{error}: the same command goes on from there", fg=typer.colors.YELLOW, err=True)
        return 0 if error.requeue else 130 if error.interrupted else 143
    if isinstance(error, UserError):
        return _tell(f"error: {error}", 2, error)
    if isinstance(error, BrokenPipeError) and _reader_left():
        return 141
    if isinstance(error, RuntimeError) and "EADDRINUSE" in str(error):
        return _tell(f"error: the port of this run is taken ({first_line(error)}); set another MASTER_PORT", 2, error)
    if isinstance(error, RuntimeError) and any(word in f"{type(error).__name__} {error}" for word in _LOST):
        lost = "another process of this run has ended or does nothing any more"
        return _tell(
            f"error: {lost} ({first_line(error)}); the last checkpoint is good, and the same command goes on from it", 1, error
        )
    if (message := explain(error, words)) is not None:
        return _tell(f"error: {message}", 2, error)
    return _tell(_unforeseen(error, words), BUG, error)


def _unforeseen(error: Exception, words: Sequence[str]) -> str:
    """The line about a bug, whose traceback goes to a file."""
    what = f"error: {type(error).__name__}: {first_line(error)[:500]}"
    try:
        return f"{what}; this is a bug of ltrec: please report it with {write_traceback(error, words)}"
    except OSError as trouble:
        return f"{what}; this is a bug of ltrec: LTREC_DEBUG=1 shows where (no file could be written: {trouble.strerror})"


def _tell(line: str, code: int, error: BaseException) -> int:
    """One line, red on a terminal, with the rank in front when there are others, without secrets or control characters."""
    if os.environ.get("LTREC_DEBUG", "0") not in ("", "0"):
        sys.stderr.write(_hidden("".join(traceback.format_exception(error))))
    rank = os.environ.get("RANK", "0")
    text = _hidden((f"[rank {rank}] " if rank != "0" else "") + " ".join(line.splitlines()))
    if len(text) > _LONGEST_LINE:
        text = f"{text[: _LONGEST_LINE // 2]} ... {text[-_LONGEST_LINE // 2 :]}"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        typer.secho(text, fg=typer.colors.RED, err=True)
    return code


def _hidden(text: str) -> str:
    return masked(text, secrets_of(os.environ))


def _reader_left() -> bool:
    """Whether the other end of stdout is closed (and not, say, a socket of some library)."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
