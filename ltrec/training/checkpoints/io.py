"""Checkpoints that are whole or absent, and never execute anything when read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from ltrec.core.errors import UserError
from ltrec.core.storage.archive import DAMAGE, check_description, check_sums
from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.run_folder import WHOLE
from ltrec.core.storage.versions import keep_before


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
