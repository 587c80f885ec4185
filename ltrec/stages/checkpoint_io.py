"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from ltrec.core.errors import UserError
from ltrec.core.files import atomic_path


class AtomicCheckpointIO(CheckpointIO):
    """Write under a temporary name, fsync, rename; read with `weights_only=True`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None) -> None:
        """Save atomically: a crash or a full disk leaves the previous checkpoint in place."""
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load tensors and plain values only, whatever the caller asks."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint file.

    Raises:
        UserError: when it is missing or damaged.
    """
    try:
        state = torch.load(path, map_location=map_location or "cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} not found: the run has no such checkpoint") from None
    except Exception as error:
        raise UserError(f"{path} is damaged or no checkpoint ({type(error).__name__}); resume from another one") from error
    assert isinstance(state, dict)
    return state
