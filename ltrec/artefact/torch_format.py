"""The program as `torch.export` saves it: one file, any batch, any length, any number of items."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltrec.artefact.dense.program import RecommenderProgram


def save_program(program: RecommenderProgram, arguments: tuple[Any, ...], path: Path) -> None:
    """Trace the program with real arguments (two rows or more) and save it."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch about itself
        exported = torch.export.export(program, arguments, dynamic_shapes=_dynamic(arguments), strict=False)
        torch.export.save(exported, str(path))


def load_program(path: Path) -> Any:
    """Load the program, which is called like `RecommenderProgram`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(str(path)).module()


def _dynamic(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The dynamic sizes: batch, length, items."""
    free = torch.export.Dim.DYNAMIC
    items, events, users, tables = arguments
    assert isinstance(items, Tensor)
    rows, positions = {0: free}, {0: free, 1: free}
    return positions, dict.fromkeys(events, positions), dict.fromkeys(users, rows), dict.fromkeys(tables, rows)
