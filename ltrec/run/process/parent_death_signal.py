"""Processes whose launcher was killed: nobody would tell them to stop, and the same command, given again, would find them at work
in its run folder. So the kernel tells them (Linux): the launcher's death is a SIGTERM. Training saves and ends, all at one step.

    python -m ltrec.run.process.parent_death_signal CPUS COMMAND...

becomes COMMAND on these cores (- = any), and is sent a SIGTERM when its parent dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def request_parent_death_signal_of_torchrun() -> None:
    """Ask for a SIGTERM at torchrun's death. Alone, or where there is no such thing, nothing happens."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        request_parent_death_signal()


def request_parent_death_signal() -> None:
    """Ask for a SIGTERM at the parent's death; also those that this process becomes will hear of it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def become(cpus: str, *command: str) -> None:
    """Turn into a command."""
    request_parent_death_signal()
    if cpus != "-":
        os.sched_setaffinity(0, {int(number) for number in cpus.split(",")})
    os.execv(command[0], command)


if __name__ == "__main__":
    become(*sys.argv[1:])
