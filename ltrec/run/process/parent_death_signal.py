"""End training when its launcher is killed; otherwise the run would continue, and the command could not be repeated. Processes ask
the kernel (Linux, PR_SET_PDEATHSIG) for a SIGTERM when their parent dies: training saves and ends, all ranks at the same step.

    python -m ltrec.run.process.parent_death_signal CPUS COMMAND...

replaces itself by COMMAND on these cores (- = any), which gets a SIGTERM when its parent dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def request_parent_death_signal_of_torchrun() -> None:
    """Request a SIGTERM at the death of torchrun. Does nothing outside of torchrun, and only works on Linux."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        request_parent_death_signal()


def request_parent_death_signal() -> None:
    """Request a SIGTERM at the death of the parent; the request survives exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def exec_command(cpus: str, *command: str) -> None:
    """Replace this process by a command."""
    request_parent_death_signal()
    if cpus != "-":
        os.sched_setaffinity(0, {int(number) for number in cpus.split(",")})
    os.execv(command[0], command)


if __name__ == "__main__":
    exec_command(*sys.argv[1:])
