"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import os
import pickle
import zipfile
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
        """Save atomically: a crash or a full disk leaves the previous checkpoint in place.

        Raises:
            OSError: the disk is full, say; it names the checkpoint.
        """
        with atomic_path(Path(path)) as temporary:
            try:
                with open(temporary, "wb") as handle:
                    torch.save(checkpoint, handle)
            except (OSError, RuntimeError) as error:
                raise _disk_error(error, Path(path)) or error from error

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load tensors and plain values only, whatever the caller asks."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _disk_error(error: BaseException, path: Path) -> OSError | None:
    """What the system said when torch's writer failed: torch reports its own confusion and keeps the cause as context."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return None if cause is None else OSError(cause.errno, cause.strerror, str(path))


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint file: tensors and plain values; anything that would have to be executed is refused.

    Raises:
        UserError: when it is missing or damaged.
    """
    try:
        _check_sums(path)
        state = torch.load(path, map_location=map_location or "cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} not found: the run has no such checkpoint") from None
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, NotImplementedError) as error:
        raise UserError(f"{path} is damaged or no checkpoint ({type(error).__name__}); resume from another one") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is no checkpoint: it holds a {type(state).__name__}; resume from another one")
    return state


def _check_sums(path: Path) -> None:
    """Compare every record with its CRC-32, which torch writes but does not read."""
    with zipfile.ZipFile(path) as archive:
        if (record := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"record {record} does not match its checksum")
