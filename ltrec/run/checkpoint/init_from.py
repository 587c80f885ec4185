"""`init_from`: initialise the trunk of a new run with the weights of another run. The optimiser is new, and the first step is 0.

The other run's data may be those that the new run's were appended to, or whose item ids they took (`prepare --append`, `--like`):
an item's vector stays the item's, and new items begin with the vectors that any new run gives them. What the weights were trained
on before goes into the state of the stream, and with it into every checkpoint and the report.

The trunk is the whole backbone of a run without plugins, and `trunk.*` of one with plugins; each can initialise the other. So PIN
can also be trained in two runs: first without plugins, then with plugins that are awake from the start, on the trunk of the first.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.run_folder import RunFolder, folder_of_checkpoint
from ltrec.data.manifest import Manifest
from ltrec.data.stream.state import Span, StreamState
from ltrec.run.checkpoint.compatibility import first_difference_of_shapes, refuse_other_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.scoring_weights import scoring_weights
from ltrec.run.folder.config_file import read_config
from ltrec.training.checkpoints.io import read_checkpoint, whole_file
from ltrec.training.module import BackboneModule

_BACKBONE, _TRUNK = "backbone.", "backbone.trunk."


def load_trunk(config: RunConfig, module: BackboneModule, manifest: Manifest) -> tuple[dict[str, Any], tuple[Span, ...]]:
    """Load the trunk of another run into a module: the average of its weights if that run keeps one.

    Args:
        config: of the new run; `init_from` is a run folder (its best checkpoint is taken) or a checkpoint.
        module: of the new run.
        manifest: of its data set.

    Returns:
        For provenance, the checkpoint, its sha256 and what it was trained on; and the latter.

    Raises:
        UserError: there is no such checkpoint, or its data set or trunk is another one.
    """
    checkpoint = _checkpoint_of(Path(config.init_from))
    state = read_checkpoint(checkpoint)
    items = _items_of_ancestors(manifest)
    refuse_other_data(
        checkpoint, state, manifest.digest, way_out="let init_from name a run on this one" + _not_columns(manifest), ancestors=items
    )
    seen = StreamState.of(state["StreamDataModule"])
    trunk: nn.Module = module.with_plugins.trunk if module.has_plugins else module.backbone
    weights = trunk_of(scoring_weights(state))
    if seen.manifest_digest in items:
        weights = with_new_items(weights, trunk.state_dict(), items[seen.manifest_digest], manifest.vocab.items)
    _refuse_other_trunk(config, checkpoint, weights, trunk)
    trunk.load_state_dict(weights)
    record = {"checkpoint": str(checkpoint), "sha256": sha256_file(whole_file(checkpoint))}
    return {**record, "trained_on": [asdict(span) for span in seen.spans]}, seen.spans


def with_new_items(weights: dict[str, Tensor], fresh: dict[str, Tensor], before: int, items: int) -> dict[str, Tensor]:
    """Weights with rows for items that they do not know, behind the others.

    Args:
        weights: by name; vectors of items are [before + 1, ...].
        fresh: those of a new run, from which the new rows are taken.
        before: items that the weights know.
        items: all items.
    """
    rows = {name: (items + 1, *value.shape[1:]) for name, value in weights.items() if value.shape[:1] == (before + 1,)}
    grown = [name for name, shape in rows.items() if items > before and name in fresh and tuple(fresh[name].shape) == shape]
    return weights | {name: torch.cat([weights[name], fresh[name][before + 1 :].to(weights[name])]) for name in grown}


def _items_of_ancestors(manifest: Manifest) -> dict[str, int]:
    """Digest -> number of items of the data sets whose ids are those of this one; with columns, `--like` gives their values other
    ids."""
    found: dict[str, int] = {}
    for step in reversed(manifest.lineage):
        if manifest.columns and not step["files"]:
            break
        found[step["digest"]] = step["items"]
    return found


def _not_columns(manifest: Manifest) -> str:
    if not (manifest.columns and any(not step["files"] for step in manifest.lineage)):
        return ""
    return "; ids of its columns' values are not those of the data that it goes back to, so that their runs do not fit"


def trunk_of(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The trunk's weights in a checkpoint, by their names in the trunk."""
    prefix = _TRUNK if any(name.startswith(_TRUNK) for name in state_dict) else _BACKBONE
    return {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}


def _checkpoint_of(source: Path) -> Path:
    if RunFolder(source).is_run():
        return find_checkpoint(RunFolder(source), "best")
    if not source.exists():
        raise UserError(f"init_from={source}: no such run folder or checkpoint")
    if source.is_dir() and not whole_file(source).exists():
        raise UserError(f"init_from={source} is neither a run folder (it has no config.yaml) nor a checkpoint")
    return source


def _refuse_other_trunk(config: RunConfig, checkpoint: Path, weights: dict[str, Tensor], trunk: nn.Module) -> None:
    if (difference := first_difference_of_shapes(weights, trunk)) is not None:
        raise UserError(
            f"init_from={checkpoint} holds another trunk ({difference}); give the settings it was trained with: "
            f"{_settings_there(config, checkpoint)}"
        )


def _settings_there(config: RunConfig, checkpoint: Path) -> str:
    """Settings of the other run's trunk that differ, if the checkpoint lies in a run folder."""
    folder = folder_of_checkpoint(checkpoint)
    if not folder.is_run():
        return "model.*, stream.max_len"
    there, here = (_shaping(c) for c in (read_config(folder), config))
    return ", ".join(f"{key}={value}" for key, value in there.items() if here.get(key) != value)


def _shaping(config: RunConfig) -> dict[str, Any]:
    return {"stream.max_len": config.stream.max_len} | {f"model.{key}": value for key, value in asdict(config.model).items()}
