"""`init_from`: initialise the trunk of a new run with the weights of another run. The optimiser is new, and the first step is 0.

The other run's data may be those that the new run's were appended to, or whose item ids they took (`prepare --append`, `--like`):
vectors stay with their items, those of categories with their values, and new ones begin as in any new run; what columns tell of a
new item comes with the weights. What the weights were trained on before goes into the state of the stream, and with it into every
checkpoint and the report.

The trunk is the whole backbone of a run without plugins, and `trunk.*` of one with plugins; each can initialise the other. So PIN
can also be trained in two runs: first without plugins, then with plugins that are awake from the start, on the trunk of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
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
_ITEMS = "items"


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
    ancestors = _ancestors(manifest)
    refuse_other_data(
        checkpoint,
        state,
        manifest.digest,
        way_out="let init_from name a run on this one" + _not_columns(manifest),
        ancestors=ancestors,
    )
    seen = StreamState.of(state["StreamDataModule"])
    trunk: nn.Module = module.with_plugins.trunk if module.has_plugins else module.backbone
    weights = trunk_of(scoring_weights(state))
    if seen.manifest_digest in ancestors:
        weights = with_new_rows(weights, trunk.state_dict(), ancestors[seen.manifest_digest], _sizes(manifest))
    _refuse_other_trunk(config, checkpoint, weights, trunk)
    trunk.load_state_dict(weights)
    record = {"checkpoint": str(checkpoint), "sha256": sha256_file(whole_file(checkpoint))}
    return {**record, "trained_on": [asdict(span) for span in seen.spans]}, seen.spans


Sizes = dict[str, int]
"""Rows of the tables that grow with the data: of `items` (with padding), and of every categorical column by role and name."""


def with_new_rows(weights: dict[str, Tensor], fresh: dict[str, Tensor], before: Sizes, now: Sizes) -> dict[str, Tensor]:
    """Weights with rows for items and values that they do not know, behind the others.

    Args:
        weights: by name; a table has a row for each of the sizes.
        fresh: those of a new run, from which the new rows are taken.
        before: sizes that the weights know.
        now: sizes of the data.
    """
    pairs = {(before[name], now[name]) for name in before.keys() & now.keys() if before[name] < now[name]}
    grown = {}
    for name, value in weights.items():
        other = fresh.get(name)
        if other is not None and (*value.shape[:1], *other.shape[:1]) in pairs and value.shape[1:] == other.shape[1:]:
            grown[name] = torch.cat([value, other[len(value) :].to(value)])
    return weights | grown


def _ancestors(manifest: Manifest) -> dict[str, Sizes]:
    """Digest -> sizes of the data sets whose ids are those of this one. With other columns than the data set that it names,
    `--like` gives values other ids."""
    found: dict[str, Sizes] = {}
    columns = {name: size for name, size in _sizes(manifest).items() if name != _ITEMS}
    for step in reversed(manifest.lineage):
        if _renumbers(manifest, step):
            break
        columns = step.get("columns", columns)
        found[step["digest"]] = {**columns, _ITEMS: step["items"] + 1}
    return found


def _sizes(manifest: Manifest) -> Sizes:
    columns = {f"{column.role}.{column.name}": column.size for column in manifest.columns if column.file}
    return {**columns, _ITEMS: manifest.vocab.items + 1}


def _renumbers(manifest: Manifest, step: Mapping[str, Any]) -> bool:
    """Whether values of columns have other ids than in the data set of this step of the lineage."""
    return bool(manifest.columns) and not step["files"] and "columns" not in step


def _not_columns(manifest: Manifest) -> str:
    if not any(_renumbers(manifest, step) for step in manifest.lineage):
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
