"""The entry `run` of a checkpoint: identity and settings of its run, and the number of steps it is planned over.

config.yaml may be damaged or replaced, or a checkpoint copied to another folder; the two must agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltrec.config.identity import FREE_TO_CHANGE, flat
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.secrets import masked_tree, secrets_of
from ltrec.core.storage.canonical import canonical_json


def record_of(config: RunConfig, run_id: str, total_steps: int) -> dict[str, Any]:
    """The entry `run` of a checkpoint.

    Args:
        config: the resolved run.
        run_id: its identity; only used on the rank that writes checkpoints.
        total_steps: optimiser steps over which the schedule is planned.
    """
    return {"run_id": run_id, "config": canonical_json(_settings(config)), "total_steps": total_steps}


def refuse_other_settings(checkpoint: Path, state: Mapping[str, Any], config: RunConfig) -> None:
    """Refuse a checkpoint that was trained with other settings than its run's config says.

    Raises:
        UserError: names a key and both values, or the record cannot be read.
    """
    mine = _settings(config)
    try:
        theirs: dict[str, Any] = json.loads(state["run"]["config"])
        differing = [key for key in mine if key in theirs and theirs[key] != mine[key]]  # a key may be newer than the checkpoint
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{checkpoint} was not written by 'ltrec train' (run.config cannot be read); use another checkpoint"
        ) from None
    if differing:
        key = differing[0]
        raise UserError(
            f"{checkpoint} was trained with {key}={theirs[key]!r} and the run's config says {mine[key]!r}: one of them is another "
            "run's, or damaged; restore it"
        )


def _settings(config: RunConfig) -> dict[str, Any]:
    """Settings that define the run, by dotted key, as JSON values; not its name, since a folder may be renamed."""
    values = {key: value for key, value in flat(asdict(config)).items() if key != "name" and not key.startswith(FREE_TO_CHANGE)}
    shown = masked_tree(values, secrets_of(os.environ))  # a checkpoint may be shared
    settings: dict[str, Any] = json.loads(json.dumps(shown))
    return settings
