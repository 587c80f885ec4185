"""How a command ends when it does not end well: one line on stderr and an exit code, a traceback only for our own mistakes.

UserError                     its line                                      2
a full disk, no permission    a line with the path                          2
asked to stop, and stopped    at which step, on rank 0                      0; 143 after SIGTERM
Ctrl-C                        "interrupted"                                 130
another process was lost      a line: the last checkpoint is good           1
the reader of stdout left     nothing (`ltrec ... | head`)                  141, what a shell gives for SIGPIPE
anything else                 a traceback: a bug of ltrec                   1
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from ltrec.core.errors import Stopped, UserError, first_line

ENDINGS = (UserError, Stopped, KeyboardInterrupt, typer.Exit, typer.Abort, OSError, RuntimeError)
"""What `exit_code_of` is asked about; any other exception is a bug and keeps its traceback."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_GLOO = "gloo/transport"  # the source files that complain of a connection; NCCL ends the process itself


def exit_code_of(error: BaseException, words: Sequence[str]) -> int:
    """Tell the user what `error` means and return the process's exit code.

    Args:
        error: what ended the command.
        words: the command line, where paths are looked for when the error names none.

    Raises:
        BaseException: `error` itself when it is none of a user's business.
    """
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _tell("interrupted", 130, error)
    if isinstance(error, Stopped):
        if os.environ.get("RANK", "0") == "0":
            typer.echo(f"{error}: the same command goes on from there", err=True)
        return 0 if error.requeue else 143
    if isinstance(error, UserError):
        return _tell(f"error: {error}", 2, error)
    if isinstance(error, BrokenPipeError) and _reader_left():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush would complain
        return 141
    if isinstance(error, OSError) and (message := _environment(error, words)):
        return _tell(f"error: {message}", 2, error)
    if isinstance(error, RuntimeError) and _GLOO in str(error):
        lost = "another process of this run has ended or does nothing any more"
        return _tell(
            f"error: {lost} ({first_line(error)}); the last checkpoint is good, and the same command goes on from it", 1, error
        )
    raise error


def _tell(line: str, code: int, error: BaseException) -> int:
    """One line, red on a terminal, with the rank in front when there are others."""
    if os.environ.get("LTREC_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    rank = os.environ.get("RANK", "0")
    prefix = f"[rank {rank}] " if rank != "0" else ""
    typer.secho(prefix + " ".join(line.splitlines()), fg=typer.colors.RED, err=True)
    return code


def _reader_left() -> bool:
    """Whether the other end of stdout is closed (and not, say, a socket of some library)."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _environment(error: OSError, words: Sequence[str]) -> str | None:
    """A line about a full or closed disk; None for any other error."""
    if error.errno in _FULL:
        place = error.filename or _fullest_folder(words)
        return f"no space left on the disk of {place}: make room there or choose another folder, then run the same command again"
    if error.errno in _FORBIDDEN and error.filename:
        return f"{os.strerror(error.errno)}: {error.filename}"
    return None


def _fullest_folder(words: Sequence[str]) -> Path:
    """Of the folders that the command line names, here and the temporary one: that with the least room. Writes do not say where."""
    named = [Path(word.rpartition("=")[2]) for word in words if not word.startswith("-")]
    folders = {_existing(path.absolute()) for path in [*named, Path(), Path(tempfile.gettempdir())]}
    return min(sorted(folders), key=lambda folder: shutil.disk_usage(folder).free)


def _existing(path: Path) -> Path:
    return path if os.path.isdir(path) else _existing(path.parent)  # unlike Path.is_dir, False for any impossible name
