"""Precision in which item vectors are stored. Programs compute with 32 bit: whoever loads the tables widens them.

fp32    as they were trained
fp16    half the size
int8    a quarter: x = s_v q with s_v = max|x_v| / 127, a scale per row in the table NAME.scale, and q in -127 .. 127
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from ltrec.artefact.dense.scorers import ITEM_VECTORS
from ltrec.core.errors import UserError

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
SCALE, LARGEST = ".scale", 127


def stored_tables(tables: Mapping[str, Tensor], precision: str) -> dict[str, Tensor]:
    """Tables with item vectors in that precision.

    Raises:
        UserError: a number is too large for 16 bits.
    """
    found = dict(tables)
    for name in filter(_is_vectors, tables):
        if precision == "fp16":
            found[name] = _halved(tables[name])
        elif precision == "int8":
            found[name], found[name + SCALE] = quantised(tables[name])
    return found


def computed_tables(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a program is given: all item vectors in 32 bits, without scales."""
    found = {name: table for name, table in stored.items() if not (name.endswith(SCALE) and _is_vectors(name.removesuffix(SCALE)))}
    for name in filter(_is_vectors, found):
        scale_V = stored.get(name + SCALE)
        found[name] = found[name].float() if scale_V is None else found[name].float() * scale_V[:, None]
    return found


def quantised(table_VD: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [V, D] and the scale of every row, float32 [V]; 0 for a row of zeros."""
    scale_V = table_VD.abs().amax(dim=1) / LARGEST
    divisor_V1 = torch.where(scale_V > 0, scale_V, 1.0)[:, None]
    return (table_VD / divisor_V1).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale_V


def _halved(table_VD: Tensor) -> Tensor:
    half_VD = table_VD.half()
    if not half_VD.isfinite().all():
        raise UserError(f"--table fp16: an item vector holds {table_VD.abs().max():.3g}, too large for 16 bits; use fp32 or int8")
    return half_VD


def _is_vectors(name: str) -> bool:
    return name == ITEM_VECTORS or name.removeprefix(ITEM_VECTORS + ".").isdigit()
