"""DeepSpeed's files: how they are written and read back.

Out: flushed, and a rank whose disk is full does not leave the others waiting. DeepSpeed saves between barriers, so a failure is
kept, and raised after the last one, when all ranks can agree on it.

In: every record is compared with its checksum (`damage`), and nothing is executed. DeepSpeed would unpickle whatever a
file holds; what its files really hold is tensors, plain values and three small classes, which are named here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ltrec.core.storage.archive import DAMAGE
from ltrec.strategy.deepspeed.damage import damaged
from ltrec.strategy.deepspeed.imports import CheckpointEngine, LossScaler, ZeroStageEnum, fragment_address

_PLAIN = [LossScaler, ZeroStageEnum, fragment_address]


class PartitionFiles(CheckpointEngine):  # type: ignore[misc]
    """DeepSpeed's socket for whatever writes and reads its files.

    Attributes:
        failure: what kept this rank from writing a file since `failure` was last set to None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: OSError | None = None

    def create(self, info: Any) -> None:
        """A checkpoint begins: nothing to prepare."""

    def save(self, state_dict: dict[str, Any], path: str) -> None:
        """Write one file; a failure is remembered."""
        try:
            with open(path, "wb") as handle:
                torch.save(state_dict, handle)
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            self.failure = error
        except RuntimeError as error:  # how torch reports that its writer was upset; the cause is kept as context
            if not isinstance(error.__context__, OSError):
                raise
            self.failure = error.__context__

    def load(self, path: str, map_location: Any = None) -> Any:
        """Read one file.

        Raises:
            UserError: it is missing, damaged, or holds anything but what DeepSpeed writes.
        """
        try:
            with torch.serialization.safe_globals(_PLAIN):
                return torch.load(path, map_location=map_location, weights_only=True)
        except (*DAMAGE, OSError) as error:
            raise damaged(Path(path), error) from error

    def commit(self, info: Any) -> bool:
        """A checkpoint is written."""
        return True
