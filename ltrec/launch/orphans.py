"""Processes whose torchrun was killed: nobody would tell them to stop, and the same command, given again, would find them at work
in its run folder. So the kernel tells them (Linux): the launcher's death is a SIGTERM. Training saves and ends, all at one step.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def hear_of_launcher() -> None:
    """Ask for a SIGTERM at the launcher's death. Alone, or where there is no such thing, nothing happens."""
    if "TORCHELASTIC_RUN_ID" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
