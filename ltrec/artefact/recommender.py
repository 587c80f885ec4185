"""The program of a run, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.gru4rec import DenseGRU4Rec
from ltrec.artefact.dense.memory import DenseMemory
from ltrec.artefact.dense.program import ALLOWED, FALLBACK, FALLBACK_SCORE, ITEM_VECTORS, RecommenderProgram
from ltrec.artefact.dense.sasrec import DenseSASRec
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.data.stream.reading.histories import Score
from ltrec.inference.fallback import popularity_of_stratum
from ltrec.models.backbones.gru4rec import GRU4Rec
from ltrec.models.backbones.protocol import Encoder
from ltrec.models.backbones.sasrec import SASRec
from ltrec.models.plugins.bottleneck import Bottleneck
from ltrec.models.plugins.melt import Melt
from ltrec.run.build.components import Data
from ltrec.run.build.strata import heirs_of, strata_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.protocol import num_candidates
from ltrec.run.scoring.scorer import RunMemory, load_backbone, load_score


@dataclass(frozen=True, slots=True)
class RunProgram:
    """A program with its tables, ready to be exported.

    Attributes:
        program: histories -> the k best items.
        tables: its tables, by name.
        score: the run's own scores, to compare with.
    """

    program: RecommenderProgram
    tables: dict[str, Tensor]
    score: Score


def program_of(
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    processes: Processes,
    memory: RunMemory | None,
    *,
    k: int,
    weights: str | None,
) -> RunProgram:
    """Make the program of a run.

    Args:
        config: of the run, with evaluation settings as overridden.
        data: its data set.
        checkpoint: one of its checkpoints.
        processes: this process.
        memory: the run's memory beside that checkpoint, if it has one.
        k: items of a list.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: a backbone or plugin that no program can be made of, or the checkpoint is at fault.
    """
    backbone = load_backbone(config, data, checkpoint, processes, weights=weights).cpu()
    trunk, adapters = _parts(config, backbone)
    strata, filter_seen = strata_of(config, data.manifest), config.evaluation.filter_seen
    program = RecommenderProgram(
        trunk,
        adapters,
        None if memory is None else _memory(memory),
        max_len=config.stream.max_len,
        bounds=strata.lower_bounds,
        heirs=heirs_of(config, data.manifest),
        k=k,
        filter_seen=filter_seen,
    )
    score = load_score(config, data, checkpoint, processes, memory, weights=weights)
    return RunProgram(program.eval().requires_grad_(False), _tables(config, data, backbone, memory), score)


def _parts(config: RunConfig, backbone: nn.Module) -> tuple[DenseSASRec | DenseGRU4Rec, Adapters]:
    """The encoder and its plugins."""
    trunk: Any = backbone
    plugins: nn.Module | None = None
    if isinstance(backbone, Bottleneck | Melt):
        trunk, plugins = backbone.trunk, backbone if backbone.awake else None
    if isinstance(trunk, SASRec):
        return DenseSASRec(trunk), Adapters(plugins)
    if isinstance(trunk, GRU4Rec):
        return DenseGRU4Rec(trunk), Adapters(plugins)
    what = f"plugin.name={config.trained_plugin.name}" if hasattr(backbone, "trunk") else f"model.name={config.model.name}"
    raise UserError(f"{what} cannot be exported: a program is made of sasrec or gru4rec, alone or with bottleneck, melt or memory")


def _memory(own: RunMemory) -> DenseMemory:
    memory = own.memory
    share = 0.0 if memory.similar is None else memory.share
    return DenseMemory(
        memory.form, own.choice.weights, decay=memory.decay, last=memory.last, share=share, filter_seen=memory.filter_seen
    )


@torch.no_grad()
def _tables(config: RunConfig, data: Data, backbone: nn.Module, memory: RunMemory | None) -> dict[str, Tensor]:
    assert isinstance(backbone, Encoder)
    first, counts_V = num_candidates(config, data), popularity_of_stratum(data.folder, data.manifest)
    allowed_V = torch.arange(data.manifest.vocab.items + 1) <= (data.manifest.vocab.items if first is None else first)
    allowed_V[0] = False
    found = {
        ITEM_VECTORS: backbone.item_table.detach().float().clone(),
        FALLBACK: order_of(counts_V),
        FALLBACK_SCORE: counts_V.float(),
        ALLOWED: allowed_V,
    }
    if memory is not None:
        tables = {"neighbours": memory.memory.neighbours, "similar": memory.memory.similar if memory.memory.share else None}
        for name, table in tables.items():
            if table is not None:
                found |= {f"{name}.item": table.item_VN.cpu(), f"{name}.weight": table.weight_VN.cpu()}
    return found


def order_of(score_V: Tensor) -> Tensor:
    """Descending numbers in the order of the scores, ties by ascending id, float32 [V+1]; exact for 16 million items."""
    order_V = torch.empty_like(score_V)
    order_V[score_V.argsort(descending=True, stable=True)] = torch.arange(score_V.numel(), 0, -1, dtype=score_V.dtype)
    return order_V.float()
