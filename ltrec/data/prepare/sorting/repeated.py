"""Which of many 64-bit numbers occur more than once: sorted part by part, in files if there are too many for memory.

numpy sorts a number in a few nanoseconds; a database that counts them in a hash table takes a hundred, and more once it spills.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]
PART_NUMBERS = 1 << 22
"""About so many numbers are sorted at a time, in 32 MB."""


def repeated(batches: Iterable[Numbers], total: int, folder: Path) -> Iterator[Numbers]:
    """The numbers that occur more than once, each once, in pieces.

    Args:
        batches: the numbers, which are hashes: evenly spread.
        total: how many there are.
        folder: for files, which are removed again.

    Raises:
        OSError: no space left on the device.
    """
    bits = (max(1, -(-total // PART_NUMBERS)) - 1).bit_length()
    if not bits:
        yield _repeated([np.array(batch) for batch in batches])
        return
    (parts := folder / "repeated").mkdir()
    paths = [parts / str(number) for number in range(1 << bits)]
    _split(batches, bits, paths)
    for path in paths:
        yield _repeated([np.fromfile(path, np.uint64)])
        path.unlink()
    parts.rmdir()


def _split(batches: Iterable[Numbers], bits: int, paths: list[Path]) -> None:
    """A file for every value of the first bits."""
    borders = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for batch in batches:
            numbers = np.sort(batch)
            for part, file in zip(np.split(numbers, np.searchsorted(numbers, borders)), files, strict=True):
                part.tofile(file)


def _repeated(batches: list[Numbers]) -> Numbers:
    numbers = np.concatenate([np.zeros(0, np.uint64), *batches])
    numbers.sort()
    twice = numbers[1:][numbers[1:] == numbers[:-1]]
    found: Numbers = twice[np.append(True, twice[1:] != twice[:-1])[: twice.size]]
    return found
