"""Memory that is used again from step to step.

A fresh block of tens of MiB costs more than the matrix product that fills it: the kernel hands it out page by page, zeroed (30 ms
of an 85 ms step went there, 1,466 positions x 12,101 items on two cores). Accelerators have a caching allocator; the CPU has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor


class Workspace:
    """A free list of flat CPU buffers. On other devices it just allocates."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles begin empty."""
        return {"_free": []}

    def lend(self, rows: int, columns: int, like: Tensor) -> Loan:
        """An uninitialised matrix [rows, columns] of `like`'s type and device."""
        count = rows * columns
        for i, buffer in enumerate(self._free):
            if buffer.dtype == like.dtype and buffer.device == like.device:
                self._free.pop(i)
                if buffer.numel() >= count:
                    return Loan(self, buffer, buffer[:count].view(rows, columns))
                break  # too small: let it go and take a larger one in its place
        spare = count // 4 if like.device.type == "cpu" else 0  # batches vary; pages never touched cost nothing
        buffer = like.new_empty(count + spare)
        return Loan(self, buffer, buffer[:count].view(rows, columns))

    def take_back(self, buffer: Tensor) -> None:
        """Keep a CPU buffer for the next loan."""
        if buffer.device.type == "cpu":
            self._free.append(buffer)


class Loan:
    """A matrix that goes back to its workspace when it is returned or forgotten."""

    def __init__(self, workspace: Workspace, buffer: Tensor, matrix: Tensor) -> None:
        self._workspace = workspace
        self._buffer: Tensor | None = buffer
        self.matrix = matrix

    def give_back(self) -> None:
        """End the loan; the matrix is gone. A second call does nothing."""
        if self._buffer is not None:
            self._workspace.take_back(self._buffer)
            self._buffer, self.matrix = None, self.matrix[:0]

    def __del__(self) -> None:
        self.give_back()


def blocks(total: int, size: int) -> Iterator[slice]:
    """The rows of a matrix, `size` at a time."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
