"""What every command needs: three open streams, and enough open files.

A shell may start a process without stdin, stdout or stderr (`ltrec ... >&-`). The next file that is opened would then take the
place of the missing one, and what is printed would go into it; so the gaps are filled first. Text that the terminal's encoding
cannot show is shown as an escape.
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

LEAST_FILES = 64
"""Open files that a small run needs: libraries, shards, checkpoints, pipes of threads."""


def prepare_streams() -> None:
    """Fill the gaps, make output lenient, and see to it that files can be opened.

    Raises:
        UserError: the limit of open files is too low and cannot be raised.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  open as long as the process is
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        wanted = LEAST_FILES * 16 if hard == resource.RLIM_INFINITY else min(hard, LEAST_FILES * 16)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < LEAST_FILES:
            raise UserError(f"this shell allows {soft} open files, ltrec needs {LEAST_FILES}: raise the limit (ulimit -n 1024)")


@contextlib.contextmanager
def quiet_libraries(variables: Mapping[str, str] = os.environ) -> Iterator[None]:
    """What libraries say by themselves is not shown where nobody can act on it; LTREC_DEBUG=1 shows it all.

    What a callback or a destructor of theirs raises cannot be caught. Their warnings are the same on every rank, so rank 0 shows
    them for all.

    Args:
        variables: the environment, for the rank that torchrun or srun gave this process.
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


def let_go_of_stdout() -> None:
    """Throw away what stdout cannot take, or the interpreter's last flush would complain of it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
