"""Clocks that add up seconds by phase: the host's own, and the GPU's, which runs behind the host."""

from __future__ import annotations

import time
from typing import Any, Protocol

import torch

_PHASES = ("compute", "optimizer")


class Clock(Protocol):
    """Adds up time by phase. `now` is cheap; `spent` may wait for the device."""

    def now(self) -> Any:
        """The present moment."""

    def book(self, phase: str, begin: Any, end: Any) -> None:
        """Count the time between two moments to a phase."""

    def spent(self) -> dict[str, float]:
        """Seconds by phase since the last call."""


class HostClock:
    """Wall-clock time of the process."""

    def __init__(self) -> None:
        self._spent = dict.fromkeys(_PHASES, 0.0)

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.perf_counter()

    def book(self, phase: str, begin: float, end: float) -> None:
        """Add."""
        self._spent[phase] += end - begin

    def spent(self) -> dict[str, float]:
        """The sums so far, which begin again at 0."""
        spent, self._spent = self._spent, dict.fromkeys(_PHASES, 0.0)
        return spent


class DeviceClock:
    """Time on the GPU: CUDA events between its kernels, read once all of them have happened."""

    def __init__(self) -> None:
        self._booked: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    def now(self) -> torch.cuda.Event:
        """An event behind all work launched so far."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def book(self, phase: str, begin: torch.cuda.Event, end: torch.cuda.Event) -> None:
        """Remember both."""
        self._booked.append((phase, begin, end))

    def spent(self) -> dict[str, float]:
        """Wait for the last event, then add up."""
        torch.cuda.synchronize()
        spent = dict.fromkeys(_PHASES, 0.0)
        for phase, begin, end in self._booked:
            spent[phase] += begin.elapsed_time(end) / 1000
        self._booked.clear()
        return spent
