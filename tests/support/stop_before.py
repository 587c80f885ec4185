"""Replace a function so that a process stops for ever before a call of it, and a test can kill it exactly there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any


def stop() -> None:
    print("here", flush=True)
    time.sleep(600)


def stop_before(holder: Any, path: Sequence[str], call: int) -> None:
    """Before the given call (1 = the first) of the function or method at `path` in `holder`, a module."""
    *owner, name = path
    for part in owner:
        holder = getattr(holder, part)
    original, calls = getattr(holder, name), []

    def stop_or_call(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            stop()
        return original(*args, **kwargs)

    setattr(holder, name, stop_or_call)
