"""The program of a run, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.memory import DenseMemory
from ltrec.artefact.dense.program import ALLOWED, FALLBACK, FALLBACK_SCORE, RecommenderProgram
from ltrec.artefact.dense.scorers import CANDIDATES, DenseScores, scores_of, trunks_of
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.data.stream.reading.histories import Score
from ltrec.inference.fallback import popularity_of_stratum
from ltrec.models.backbones.din import DIN
from ltrec.models.inputs import ItemVectors
from ltrec.models.top_items import pays_by_blocks
from ltrec.run.build.components import Data
from ltrec.run.build.strata import heirs_of, strata_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.protocol import num_candidates
from ltrec.run.scoring.scorer import RunMemory, load_backbone, load_score

PAIR_BYTES = 256 * 2**20
"""Inner values of all rows and items that are scored at once."""


@dataclass(frozen=True, slots=True)
class RunProgram:
    """A program with its tables, ready to be exported.

    Attributes:
        program: histories -> the k best items.
        tables: its tables, by name.
        score: the run's own scores, to compare with.
        backbone: whose program it is.
        pairs: most rows x items that are scored at once, where every pair has inner values of its own (DIN); 0 = any number.
    """

    program: RecommenderProgram
    tables: dict[str, Tensor]
    score: Score
    backbone: nn.Module
    pairs: int = 0

    @property
    def rows(self) -> int:
        """Most rows of a call with all items."""
        return max(1, self.pairs // self.tables[ALLOWED].numel()) if self.pairs else 1 << 30


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
    strata, filter_seen = strata_of(config, data.manifest), config.evaluation.filter_seen
    program = RecommenderProgram(
        _network(config, backbone, strata.count),
        None if memory is None else _memory(memory),
        max_len=config.stream.max_len,
        bounds=strata.lower_bounds,
        heirs=heirs_of(config, data.manifest),
        k=k,
        filter_seen=filter_seen,
        by_blocks=pays_by_blocks(data.manifest.vocab.items, k),
    )
    score = load_score(config, data, checkpoint, processes, memory, weights=weights)
    tables = _tables(config, data, backbone, memory)
    pairs = PAIR_BYTES // _bytes_of_pair(backbone, config.stream.max_len) if CANDIDATES in tables else 0
    return RunProgram(program.eval().requires_grad_(False), tables, score, backbone, pairs)


def _bytes_of_pair(backbone: nn.Module, max_len: int) -> int:
    """About what one row and item take in a program that looks at every candidate."""
    trunk = cast(DIN, next(iter(trunks_of(backbone).values())))
    return trunk.pair_bytes + 8 * max_len


def _network(config: RunConfig, backbone: nn.Module, num_strata: int) -> DenseScores:
    """Backbone and plugins."""
    if (found := scores_of(backbone, num_strata)) is not None:
        return found
    plugin = config.trained_plugin.name
    raise UserError(
        f"model.name={config.model.name} with plugin.name={plugin} cannot be exported: only ltrec's own backbones and plugins "
        "have programs; use ltrec predict RUN --input FILE, which runs every model"
    )


def _memory(own: RunMemory) -> DenseMemory:
    memory = own.memory
    share = 0.0 if memory.similar is None else memory.share
    return DenseMemory(
        memory.form, own.choice.weights, decay=memory.decay, last=memory.last, share=share, filter_seen=memory.filter_seen
    )


@torch.no_grad()
def _tables(config: RunConfig, data: Data, backbone: nn.Module, memory: RunMemory | None) -> dict[str, Tensor]:
    first, counts_V = num_candidates(config, data), popularity_of_stratum(data.folder, data.manifest)
    allowed_V = torch.arange(data.manifest.vocab.items + 1) <= (data.manifest.vocab.items if first is None else first)
    allowed_V[0] = False
    found = {
        **vectors_of(backbone),
        FALLBACK: order_of(counts_V),
        FALLBACK_SCORE: counts_V.float(),
        ALLOWED: allowed_V,
    }
    if any(isinstance(trunk, DIN) for trunk in trunks_of(backbone).values()):
        found[CANDIDATES] = torch.arange(1, allowed_V.numel())
    if memory is not None:
        tables = {"neighbours": memory.memory.neighbours, "similar": memory.memory.similar if memory.memory.share else None}
        for name, table in tables.items():
            if table is not None:
                found |= {f"{name}.item": table.item_VN.cpu(), f"{name}.weight": table.weight_VN.cpu()}
    return found


def vectors_of(backbone: nn.Module) -> dict[str, Tensor]:
    """Item vectors [V+1, D] of every model in the backbone."""
    tables = {name: cast(ItemVectors, trunk.items).table() for name, trunk in trunks_of(backbone).items()}
    return {name: table.detach().float().clone() for name, table in tables.items()}


def order_of(score_V: Tensor) -> Tensor:
    """Descending numbers in the order of the scores, ties by ascending id, float32 [V+1]; exact for 16 million items."""
    order_V = torch.empty_like(score_V)
    order_V[score_V.argsort(descending=True, stable=True)] = torch.arange(score_V.numel(), 0, -1, dtype=score_V.dtype)
    return order_V.float()
