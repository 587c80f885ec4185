"""Checkpoints that are whole or absent, for Lightning; reading one needs no Lightning (see `io`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.versions import keep_before
from ltrec.training.checkpoints.io import read_checkpoint


class AtomicCheckpointIO(CheckpointIO):
    """Write under a temporary name, fsync, rename; read with `weights_only=True`. What was last.ckpt is kept as previous.ckpt."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None) -> None:
        """Save atomically: a crash or a full disk leaves the previous checkpoint in place.

        Raises:
            OSError: the disk is full, say; it names the checkpoint.
        """
        with atomic_path(Path(path)) as temporary:
            try:
                with open(temporary, "wb") as handle:
                    torch.save(checkpoint, handle)
            except (OSError, RuntimeError) as error:
                if (cause := _system_error(error)) is None:
                    raise
                raise OSError(cause.errno, cause.strerror, str(path)) from error
            keep_before(Path(path))

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load tensors and plain values only, regardless of the caller's arguments."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _system_error(error: BaseException | None) -> OSError | None:
    """The system's error: torch reports a failure of its own writer and keeps the cause as context."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error
