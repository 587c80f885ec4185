"""Standard streams and the limit of open files, prepared for every command.

A shell may start a process without stdin, stdout or stderr (`ltrec ... >&-`). The next file opened would get the descriptor of the
missing stream, and output would be written to it; so the missing ones are opened first. Characters that the encoding of the
terminal lacks are printed as escapes.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
import warnings
from collections.abc import Iterator, Mapping

from ltrec.core.errors import UserError

MIN_OPEN_FILES = 64
"""Open files that a small run needs: libraries, shards, checkpoints, pipes."""


def prepare_streams() -> None:
    """Open missing streams, escape unprintable output, and raise the limit of open files if necessary.

    Raises:
        UserError: the limit of open files is too low and cannot be raised.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  open until the process ends
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MIN_OPEN_FILES:
        wanted = MIN_OPEN_FILES * 16 if hard == resource.RLIM_INFINITY else min(hard, MIN_OPEN_FILES * 16)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < MIN_OPEN_FILES:
            raise UserError(f"this shell allows {soft} open files, ltrec needs {MIN_OPEN_FILES}: raise the limit (ulimit -n 1024)")


@contextlib.contextmanager
def quiet_libraries(variables: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Hide output of libraries that a user cannot act on; LTREC_DEBUG=1 shows all of it.

    Exceptions in callbacks and destructors of libraries cannot be caught. Warnings are the same on every rank, so only rank 0 shows
    them.

    Args:
        variables: the environment, for the rank of this process.
    """
    hook = sys.unraisablehook
    with warnings.catch_warnings():
        if variables.get("LTREC_DEBUG", "0") in ("", "0"):
            sys.unraisablehook = lambda _: None
            if not _is_rank_0(variables):
                warnings.simplefilter("ignore")
        try:
            yield
        finally:
            sys.unraisablehook = hook


def _is_rank_0(variables: Mapping[str, str]) -> bool:
    alone = variables.get("SLURM_STEP_NUM_TASKS", "1") == "1"
    return variables.get("RANK", "0" if alone else variables.get("SLURM_PROCID", "0")) == "0"


def discard_stdout() -> None:
    """Discard output that stdout cannot take; else the interpreter's last flush fails."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
