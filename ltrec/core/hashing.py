"""Counter-based randomness: every draw is a pure function of integers, the same on every machine and device.

`mix64` is the finaliser of splitmix64 (Steele, Lea & Flood, OOPSLA 2014). Library generators may change their streams between
versions and keep hidden state; a hash of (seed, step, row, ...) does neither, so a resume needs no saved generator.
The numpy and torch forms agree bit for bit (tested), with golden values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

U64 = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def mix(*parts: int) -> int:
    """Hash a sequence of integers to 64 unsigned bits; order matters."""
    state = 0
    for part in parts:
        z = (state ^ (part & _MASK)) + _GOLDEN & _MASK
        z = (z ^ (z >> 30)) * _M1 & _MASK
        z = (z ^ (z >> 27)) * _M2 & _MASK
        state = z ^ (z >> 31)
    return state


def mix_array(seed: int, values: npt.NDArray[np.integer]) -> U64:
    """`mix(seed, v)` for every integer v, shape kept."""
    return _mixed(np.uint64(mix(seed)), values)


def mix_arrays(seeds: Sequence[int], values: npt.NDArray[np.integer]) -> U64:
    """`mix(seed, v)` for every integer v of each seed's row of [S, n]."""
    return _mixed(np.array([[mix(seed)] for seed in seeds], np.uint64), values)


def _mixed(state: U64 | np.uint64, values: npt.NDArray[np.integer]) -> U64:
    with np.errstate(over="ignore"):
        z: U64 = (state ^ values.astype(np.uint64)) + np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_M1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_M2)
        return z ^ (z >> np.uint64(31))


def permutation(seed: int, count: int) -> npt.NDArray[np.int64]:
    """A permutation of range(count), the same on every machine and in every version: argsort of hashed indices.

    A seed's hash never gives two numbers the same bits, so that it does not matter which sort is used: the fastest is.
    """
    return order_of(mix_array(seed, np.arange(count)))


def order_of(values: U64) -> npt.NDArray[np.int64]:
    """`np.argsort` of distinct values [n].

    Where a place takes b bits, the upper 64 - b bits of a value and its place are one number, and sorting numbers is twice as fast
    as sorting places. Values with the same upper bits, of which there are few, are sorted among themselves.
    """
    if not values.size:
        return np.zeros(0, np.int64)
    values = values << np.uint64(64 - int(values.max()).bit_length()) if values.size > 1 else values
    low = np.uint64((1 << (values.size - 1).bit_length()) - 1)
    placed = (values & ~low) | np.arange(values.size, dtype=np.uint64)
    placed.sort()
    order: npt.NDArray[np.int64] = (placed & low).view(np.int64)
    tied = np.flatnonzero((placed[1:] ^ placed[:-1]) <= low)
    if tied.size:
        tied = np.union1d(tied, tied + 1)
        order[tied] = order[tied][np.argsort(values[order[tied]])]
    return order


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def mix_tensor(seed: int, values: Tensor) -> Tensor:
    """`mix_array` on any device: int64 tensors hold the same 64 bits, read as signed."""
    z = (values ^ _signed(mix(seed))) + _signed(_GOLDEN)
    z = (z ^ _shift(z, 30)) * _signed(_M1)
    z = (z ^ _shift(z, 27)) * _signed(_M2)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's shifts int64 arithmetically."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def uniform(bits: Tensor) -> Tensor:
    """Map hashed int64 bits to float64 in [0, 1), from their top 53 bits."""
    return _shift(bits, 11).to(torch.float64) * 2.0**-53
