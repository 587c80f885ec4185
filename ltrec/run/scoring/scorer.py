"""The scores of a run: its backbone and plugins with the weights of a checkpoint, and its memory beside them. Used by evaluation,
prediction and the choice of the memory's weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.evaluation.memory.scores import Memory
from ltrec.evaluation.memory.weighing import WeightChoice
from ltrec.models.backbones import Scorer
from ltrec.run.build.components import Data, build_backbone
from ltrec.run.checkpoint.compatibility import refuse_other_data, refuse_other_model
from ltrec.run.checkpoint.run_record import refuse_other_settings
from ltrec.run.checkpoint.scoring_weights import refuse_lost_average, refuse_weights, scoring_weights
from ltrec.run.process.processes import device_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.training.checkpoints.io import read_checkpoint, whole_file


@dataclass(frozen=True, slots=True)
class RunMemory:
    """A run's memory with its weights beside the network of one checkpoint.

    Attributes:
        memory: the memory.
        choice: its weights.
        sha: digest of the checkpoint.
        facts: its metadata for tables.
    """

    memory: Memory
    choice: WeightChoice
    sha: str
    facts: dict[str, Any]


def load_score(
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    processes: Processes,
    memory: RunMemory | None,
    *,
    weights: str | None = None,
    sha: str | None = None,
) -> Score:
    """Users -> scores of the run: its network with the weights of a checkpoint, plus its memory.

    Args:
        config: the run's.
        data: its data set.
        checkpoint: one of its checkpoints.
        processes: this process among all.
        memory: see `ltrec.run.scoring.memory`; None = the network alone.
        weights: `raw` or `average`; None = the average if the run keeps one.
        sha: digest that the file must have; None = that of the memory, or any.

    Raises:
        UserError: the checkpoint is damaged, of another data set or model, has no such weights, or was replaced by training
            meanwhile.
    """
    network = load_network(config, data, checkpoint, processes, weights=weights)
    sha = memory.sha if sha is None and memory is not None else sha
    if sha is not None and sha256_file(whole_file(checkpoint)) != sha:
        raise UserError(
            f"{checkpoint} was replaced while it was read, since its run is still training; evaluate again, or when it has ended"
        )
    return network if memory is None else memory.memory.beside(network, memory.choice.weights)


def load_network(config: RunConfig, data: Data, checkpoint: Path, processes: Processes, *, weights: str | None = None) -> Score:
    """Users -> scores of the run's network with the weights of a checkpoint, on the device of this process.

    Args:
        config: the run's.
        data: its data set.
        checkpoint: one of its checkpoints.
        processes: this process among all.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: the checkpoint is damaged, of another data set or model, or has no such weights.
    """
    backbone = load_backbone(config, data, checkpoint, processes, weights=weights)
    device = device_of(processes, config.trainer.accelerator)

    def score(chunk: HistoryChunk) -> Tensor:
        with torch.inference_mode():
            scores_BV: Tensor = cast(Scorer, backbone).scores(chunk.batch.to(device))
            return scores_BV

    return score


def load_backbone(
    config: RunConfig, data: Data, checkpoint: Path, processes: Processes, *, weights: str | None = None
) -> torch.nn.Module:
    """The run's backbone, with plugins, with the weights of a checkpoint, on the device of this process; a `Scorer`.

    Raises:
        UserError: as `load_network`.
    """
    refuse_weights(weights, config)
    backbone, device = build_backbone(config, data), device_of(processes, config.trainer.accelerator)
    state, named = read_checkpoint(checkpoint), torch.nn.ModuleDict({"backbone": backbone})
    way_out = "name the data it was trained on with --data DIR"
    refuse_other_data(checkpoint, state, data.manifest.digest, way_out=way_out)
    chosen = scoring_weights(state, weights)  # those of the objective and the discriminator do not score
    scoring = {name: value for name, value in chosen.items() if name.startswith("backbone.")}
    refuse_other_model(checkpoint, scoring, named)
    refuse_other_settings(checkpoint, state, config)
    refuse_lost_average(checkpoint, state, config)
    named.load_state_dict(scoring)
    assert isinstance(backbone, Scorer)
    return backbone.eval().to(device)


def score_with(
    settings: MemoryConfig, network: Score, neighbours: Neighbours, weights: Sequence[float], *, filter_seen: bool
) -> Score:
    """A network's scores plus those of a memory. The memory is not trained, so one network can be combined with many.

    Args:
        settings: of the memory.
        network: users -> scores.
        neighbours: on the device where the network scores.
        weights: w, a single one for all users or one per stratum of histories.
        filter_seen: leave out items of the history.
    """
    return make_memory(settings, neighbours, filter_seen=filter_seen).beside(network, weights)


def make_memory(
    settings: MemoryConfig, neighbours: Neighbours, similar: Neighbours | None = None, share: float = 0.0, *, filter_seen: bool
) -> Memory:
    """The memory of such settings."""
    return Memory(neighbours, settings.form, settings.decay, settings.last, filter_seen, similar, share)
