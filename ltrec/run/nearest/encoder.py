"""States of users and item vectors of a run, whose inner products are its scores: what an index needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.inference.nearest.folder import Belongs, digest_of_table
from ltrec.models.backbones.protocol import Encoder
from ltrec.models.plugins.protocol import RoutedByRow
from ltrec.run.build.components import Data
from ltrec.run.process.processes import device_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.scorer import load_backbone
from ltrec.training.checkpoints.io import whole_file


@dataclass(frozen=True, slots=True)
class RunEncoder:
    """One checkpoint's.

    Attributes:
        states: users -> states [B, D], through the plugins of their strata.
        table_VD: item vectors as scoring uses them [V+1, D], float32, columns included; no plugin touches them.
        belongs: what an index of these must be of.
    """

    states: Callable[[HistoryChunk], Tensor]
    table_VD: Tensor
    belongs: Belongs


def load_encoder(config: RunConfig, data: Data, checkpoint: Path, processes: Processes, *, weights: str | None) -> RunEncoder:
    """The run's network with the weights of a checkpoint, on the device of this process.

    Raises:
        UserError: a model without states or with several item tables, or the checkpoint is at fault.
    """
    refuse_unsearchable(config)
    backbone = load_backbone(config, data, checkpoint, processes, weights=weights)
    device = device_of(processes, config.trainer.accelerator)
    if isinstance(backbone, RoutedByRow):
        raise UserError(
            f"plugin.name={config.trained_plugin.name} has item vectors for every stratum, and an index holds one table"
        )
    if not isinstance(backbone, Encoder):
        raise UserError(f"model.name={config.model.name} looks at every candidate and has no inner product to search an index by")
    encoder: Encoder = backbone

    def states(chunk: HistoryChunk) -> Tensor:
        with torch.inference_mode():
            return encoder.final_states(chunk.batch.to(device))

    with torch.inference_mode():
        table_VD = encoder.item_table.detach().float()
    if not table_VD.isfinite().all():
        raise UserError(f"{checkpoint}: its item vectors are not finite; the checkpoint has diverged; use another one")
    belongs = Belongs(data.manifest.digest, sha256_file(whole_file(checkpoint)), digest_of_table(table_VD))
    return RunEncoder(states, table_VD, belongs)


def refuse_unsearchable(config: RunConfig) -> None:
    """Refuse a run whose scores need more than inner products.

    Raises:
        UserError: it has a memory.
    """
    if config.memory is not None:
        raise UserError(
            f"plugin.name=memory with form={config.memory.form} lifts counted neighbours above the inner products that an index "
            "searches by; recommend without an index"
        )
