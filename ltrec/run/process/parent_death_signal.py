"""When a launcher is killed, its processes would train on, and the same command, given again, would find them in its run folder. So
they ask the kernel (Linux, PR_SET_PDEATHSIG) for a SIGTERM at their parent's death: training saves and ends, all ranks at one step.

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
    """Ask for a SIGTERM at torchrun's death. Nothing happens outside torchrun, or on another system than Linux."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        request_parent_death_signal()


def request_parent_death_signal() -> None:
    """Ask for a SIGTERM at the parent's death; it survives an exec of this process."""
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
