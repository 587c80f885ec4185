"""Are the partitions of a checkpoint whole? Asked without DeepSpeed, which takes seconds to import.

state/*_optim_states.pt      the optimiser's partition of each rank
state/*_model_states.pt      one, or under ZeRO-3 that of each rank
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.archive import DAMAGE, check_sums
from ltrec.core.storage.run_folder import PARTITIONS


def damaged(file: Path, error: Exception) -> UserError:
    """The one line about a file that cannot be used."""
    return UserError(f"{file} is damaged or missing ({type(error).__name__}); use another checkpoint")


def refuse_damage(file: Path) -> None:
    """Compare every record of a file with its CRC-32.

    Raises:
        UserError: one does not match, or the archive is torn.
    """
    try:
        check_sums(file)
    except (*DAMAGE, OSError) as error:
        raise damaged(file, error) from error


def files_of(checkpoint: Path, zero: Mapping[str, int]) -> list[Path]:
    """All files of a checkpoint's partitions, in order.

    Args:
        checkpoint: its folder.
        zero: `stage` and `world_size` that it was written by.

    Raises:
        UserError: some are missing.
    """
    world = zero["world_size"]
    expected = {"*_optim_states.pt": world, "*_model_states.pt": world if zero["stage"] == 3 else 1}
    found = {pattern: sorted((checkpoint / PARTITIONS).glob(pattern)) for pattern in expected}
    for pattern, number in expected.items():
        if len(found[pattern]) != number:
            raise UserError(f"{checkpoint / PARTITIONS} has {len(found[pattern])} of {number} {pattern}; use another checkpoint")
    return [file for files in found.values() for file in files]
