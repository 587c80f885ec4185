"""Checkpoints under DeepSpeed: a folder for each, swapped in whole (`ltrec.core.storage.versions`), the one before last kept.

    last.ckpt/whole.ckpt     what any run's checkpoint holds (weights, cursor, callbacks), without optimiser states
    last.ckpt/state/*.pt     DeepSpeed's own: master weights and optimiser states, the partitions of each rank

Code that only reads (evaluate, predict, report, the checks before a resume) reads whole.ckpt; only resuming reads the partitions.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
from pytorch_lightning.plugins.io import CheckpointIO

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import PARTITIONS, WHOLE
from ltrec.core.storage.versions import commit_version, open_version
from ltrec.distributed.collectives import any_rank, current_world
from ltrec.strategy.deepspeed.damage import files_of, refuse_damage
from ltrec.strategy.deepspeed.partition_files import PartitionFiles


def save(engine: Any, checkpoint: dict[str, Any], path: Path, files: CheckpointIO) -> None:
    """Write a checkpoint; every rank must call this, and all return or all raise.

    Args:
        engine: DeepSpeed's.
        checkpoint: Lightning's, whole on rank 0.
        path: the name it gets once it is whole.
        files: writes whole.ckpt.

    Raises:
        OSError: this rank could not write; the checkpoint before is still there.
        UserError: another rank could not.
    """
    version, failure = _shared_version(path)
    if version is not None:
        partitions = engine.checkpoint_engine = PartitionFiles()
        engine.save_checkpoint(str(version), tag=PARTITIONS, client_state={}, save_latest=False)
        failure = partitions.failure
        if current_world().rank == 0 and failure is None:
            failure = _attempt(lambda: files.save_checkpoint(checkpoint, version / WHOLE))
    _agree(failure, path, version)
    if current_world().rank == 0:
        assert version is not None
        failure = _attempt(lambda: commit_version(path, version))
    _agree(failure, path, None)


def load(engine: Any, path: Path, zero: Mapping[str, int]) -> None:
    """Give every rank its partitions back, which were written by `zero`'s stage and world size.

    Raises:
        UserError: a file of them is damaged or missing.
    """
    _refuse_damage(path, zero)
    engine.checkpoint_engine = PartitionFiles()
    found, _ = engine.load_checkpoint(str(path), tag=PARTITIONS, load_lr_scheduler_states=False)
    if found is None:
        raise UserError(f"{path}/{PARTITIONS} holds no partitions that DeepSpeed knows; use another checkpoint")


def _shared_version(path: Path) -> tuple[Path | None, OSError | None]:
    """The version to write to: rank 0 opens it and tells the others. None if it could not be opened."""
    names, failure = [""], None
    if current_world().rank == 0:
        try:
            names[0] = str(open_version(path))
        except OSError as error:
            failure = error
    if current_world().size > 1:
        dist.broadcast_object_list(names, src=0)
    return (Path(names[0]) if names[0] else None), failure


def _attempt(write: Any) -> OSError | None:
    try:
        write()
    except OSError as error:
        return error
    return None


def _refuse_damage(path: Path, zero: Mapping[str, int]) -> None:
    """Each rank checks some of the files; all ranks continue, or none."""
    world, failure = current_world(), None
    try:
        for file in files_of(path, zero)[world.rank :: world.size]:
            refuse_damage(file)
    except UserError as error:
        failure = error
    if any_rank(failure is not None):
        raise failure or UserError(f"{path} is damaged: another process names the file; use another checkpoint")


def _agree(failure: OSError | None, path: Path, version: Path | None) -> None:
    """Go on only if no rank has failed; clean up and raise on all ranks if one has."""
    if not any_rank(failure is not None):
        return
    if version is not None and current_world().rank == 0:
        shutil.rmtree(version, ignore_errors=True)
    if failure is not None:
        raise OSError(failure.errno, failure.strerror, str(path)) from failure
    raise UserError(f"{path} could not be written by another process; the checkpoint before it is still there")
