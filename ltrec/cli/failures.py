"""How a command ends after an error: one line on stderr and an exit code, never a traceback on the screen.

UserError                     its line                                                2
the system, a library         a line with the path and what to do (system_errors.py)   2
stopped on request            at which step, on rank 0                                0; 143 after SIGTERM, 130 after Ctrl-C
Ctrl-C twice, or elsewhere    "interrupted"                                           130
another process was lost      a line: the last checkpoint is intact                   1
stdout was closed             nothing (`ltrec ... | head`)                            141, as a shell returns for SIGPIPE
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
"""Exit code of an unexpected error."""

_LOST_CONNECTION = ("gloo/transport", "DistStoreError", "DistNetworkError", "DistBackendError")
"""Parts of the messages or types of connection errors of gloo, torch and NCCL."""

_MAX_LINE = 2000


def exit_code_of(error: Exception | KeyboardInterrupt, arguments: Sequence[str]) -> int:
    """Print the line of an error and return the exit code.

    Args:
        error: what ended the command.
        arguments: those of the command line, searched for paths if the error names none.
    """
    code = _code_of(error, arguments)
    discard_stdout()
    return code


def _code_of(error: Exception | KeyboardInterrupt, arguments: Sequence[str]) -> int:
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _print_error(str(error) or "interrupted", 130, error)
    if isinstance(error, Stopped):
        if os.environ.get("RANK", "0") == "0":
            typer.secho(f"{error}; repeat the command to resume", fg=typer.colors.YELLOW, err=True)
        return 0 if error.requeue else 130 if error.interrupted else 143
    if isinstance(error, UserError):
        return _print_error(f"error: {error}", 2, error)
    if isinstance(error, BrokenPipeError) and _stdout_closed():
        return 141
    if isinstance(error, RuntimeError) and "EADDRINUSE" in str(error):
        return _print_error(f"error: the port of this run is taken ({first_line(error)}); set another MASTER_PORT", 2, error)
    if isinstance(error, RuntimeError) and any(word in f"{type(error).__name__} {error}" for word in _LOST_CONNECTION):
        lost = "another process of this run has ended or hangs"
        return _print_error(
            f"error: {lost} ({first_line(error)}); the last checkpoint is intact; repeat the command to resume", 1, error
        )
    if (message := explain(error, arguments)) is not None:
        return _print_error(f"error: {message}", 2, error)
    return _print_error(_bug_report(error, arguments), BUG, error)


def _bug_report(error: Exception, arguments: Sequence[str]) -> str:
    """The line of an unexpected error; its traceback is written to a file."""
    what = f"error: {type(error).__name__}: {first_line(error)[:500]}"
    try:
        return f"{what}; this is a bug of ltrec: please report it with {write_traceback(error, arguments)}"
    except OSError as failure:
        return f"{what}; this is a bug of ltrec: LTREC_DEBUG=1 shows where (no file could be written: {failure.strerror})"


def _print_error(line: str, code: int, error: BaseException) -> int:
    """Print one line, red on a terminal, with the rank on other ranks than 0, without secrets and control characters."""
    if os.environ.get("LTREC_DEBUG", "0") not in ("", "0"):
        sys.stderr.write(_hidden("".join(traceback.format_exception(error))))
    rank = os.environ.get("RANK", "0")
    text = _hidden((f"[rank {rank}] " if rank != "0" else "") + " ".join(line.splitlines()))
    if len(text) > _MAX_LINE:
        text = f"{text[: _MAX_LINE // 2]} ... {text[-_MAX_LINE // 2 :]}"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        typer.secho(text, fg=typer.colors.RED, err=True)
    return code


def _hidden(text: str) -> str:
    return masked(text, secrets_of(os.environ))


def _stdout_closed() -> bool:
    """Whether the reader of stdout is gone (rather than, say, that of a library's socket)."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
