"""Checkpoints are read here, and never execute anything; `atomic_io` writes them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ltrec.core.errors import UserError
from ltrec.core.storage.archive import DAMAGE, check_description, check_sums
from ltrec.core.storage.run_folder import WHOLE


def look_into(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint without its tensors, whose bytes are neither read nor checked; fast, however large the file is.

    Raises:
        UserError: when it is missing or damaged.
    """
    return _load(path, lambda file: torch.load(file, map_location="cpu", weights_only=True, mmap=True), check_description)


def whole_file(checkpoint: Path) -> Path:
    """The file that holds a checkpoint's weights and cursor: itself, or one in the folder that sharded training writes."""
    return checkpoint / WHOLE if checkpoint.is_dir() else checkpoint


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint, file or folder: tensors and plain values; anything that would have to be executed is refused.

    Raises:
        UserError: when it is missing or damaged.
    """
    where = map_location or "cpu"
    return _load(path, lambda file: torch.load(file, map_location=where, weights_only=True), check_sums)


def _load(path: Path, load: Callable[[Path], Any], check: Callable[[Path], None]) -> dict[str, Any]:
    try:
        check(whole_file(path))
        state = load(whole_file(path))
    except FileNotFoundError:
        raise UserError(f"{path} not found: the run has no such checkpoint") from None
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a damaged offset is an invalid argument to seek
            raise
        raise UserError(f"{path} is damaged or no checkpoint ({type(error).__name__}); use another one") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is not a checkpoint: it holds a {type(state).__name__}; use another one")
    return state
