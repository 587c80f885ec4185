"""Recycled memory: a run of steps takes megabytes, which the C library gives back to the system and asks for anew, a page fault for
every 4 KiB; here it is kept for the next run.

An array of it is used again only when nothing refers to the tensor that it became, or to a part of that: the tensor's memory
holds the array, and the array says when it goes.
"""

from __future__ import annotations

import math
import weakref

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_SPARE = 8  # arrays that wait to be used again


class Recycled:
    """Memory of tensors that were made here."""

    def __init__(self) -> None:
        self._free: list[npt.NDArray[np.uint8]] = []

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        """An int64 tensor of undefined values."""
        size = 8 * math.prod(shape)
        memory = self._fitting(size)
        array = memory[:size].view(np.int64).reshape(shape)
        weakref.finalize(array, self._take_back, memory).atexit = False
        # Not a slice of the array: numpy has that refer to the memory, and the array would go while it is in use.
        return torch.from_numpy(array)

    def _fitting(self, size: int) -> npt.NDArray[np.uint8]:
        while self._free:
            try:
                memory = self._free.pop()
            except IndexError:  # another thread took it
                break
            if memory.size >= size:
                return memory
        return np.empty(size + (size >> 2), np.uint8)

    def _take_back(self, memory: npt.NDArray[np.uint8]) -> None:
        if len(self._free) < _SPARE:
            self._free.append(memory)
