"""The Gram matrix of K gradients, or its diagonal alone, from the part of them that a rank holds."""

from __future__ import annotations

import torch
from torch import Tensor

_COLUMNS = 1 << 15
"""At a time in float64 on the CPU: a few megabytes that stay in the cache, not a second copy of the gradients."""

_COLUMNS_DEVICE = 1 << 20
"""The same on an accelerator, where a small block costs its launches: 40 MiB with K = 5."""


def gram(rows_KN: Tensor) -> Tensor:
    """rows @ rows^T, float64 on the rows' device, accumulated over blocks of columns."""
    total = torch.zeros(len(rows_KN), len(rows_KN), dtype=torch.float64, device=rows_KN.device)
    for block_KC in _blocks(rows_KN):
        exact = block_KC.double()
        total.addmm_(exact, exact.T)
    return total


def squares(rows_KN: Tensor) -> Tensor:
    """The diagonal of `gram`, float64 on the rows' device: 2 K N operations where the matrix takes 2 K^2 N.

    Sums of a block are in the rows' precision, which gives six digits in float32; numbers beyond 1e19 count as infinite there.
    """
    total = torch.zeros(len(rows_KN), dtype=torch.float64, device=rows_KN.device)
    for block_KC in _blocks(rows_KN):
        total += torch.linalg.vector_norm(block_KC, dim=1).double().square()
    return total


def _blocks(rows_KN: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows_KN, _COLUMNS if rows_KN.device.type == "cpu" else _COLUMNS_DEVICE, dim=1)


def pack(matrix_KK: Tensor) -> Tensor:
    """The upper triangle of a symmetric matrix, as a vector: half the bytes to send."""
    row, column = torch.triu_indices(*matrix_KK.shape, device=matrix_KK.device)
    return matrix_KK[row, column]


def unpack(triangle: Tensor, size: int) -> Tensor:
    """The symmetric matrix again."""
    row, column = torch.triu_indices(size, size, device=triangle.device)
    matrix = triangle.new_empty(size, size)
    matrix[row, column] = triangle
    matrix[column, row] = triangle
    return matrix
