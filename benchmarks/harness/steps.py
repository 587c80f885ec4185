"""Training steps without a data set: made-up batches as the loader would give them, a model, and every way to train it.

For counts of what a step does (waits, operations) and for machines that hold nothing but torch and Lightning: no prepared data, no
DuckDB, no network.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.core.batch import SequenceBatch
from ltrec.core.rows.on_host import HostRows
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.collectives import all_gather_ids
from ltrec.distributed.touched_table import TouchedTable
from ltrec.models.backbones import BACKBONES
from ltrec.models.inputs import IdVectors
from ltrec.models.plugins.bottleneck import plug
from ltrec.objectives import OBJECTIVES
from ltrec.objectives.emphasis import EMPHASES
from ltrec.optim.build import adamw
from ltrec.strategy import StratifiedOptions, StratifiedSingleDeviceStrategy
from ltrec.training.module import BackboneModule
from ltrec.training.position_losses import PositionLosses
from ltrec.training.validation import Validator


@dataclass(frozen=True)
class Size:
    """A model and its batches; rows are `max_len` long at most, most of them short, and the longer, the higher their stratum."""

    rows: int = 48
    max_len: int = 20
    items: int = 300
    width: int = 16
    strata: int = 5
    backbone: str = "sasrec"
    dropout: float = 0.1
    objective: str = "softmax"
    options: dict[str, Any] = field(default_factory=dict)
    """Of the objective."""
    touched: bool = False
    """Whether gradients are of the touched rows of the item table."""
    more: dict[str, Any] = field(default_factory=dict)
    """Further options of the backbone."""


@dataclass(frozen=True)
class Way:
    """One way to train. The rules need no solver, and no library but torch."""

    rule: str = "backdoor"
    mode: str = "auto"
    source: str = "auto"
    plugins: bool = False
    joint: bool = False
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    probe_every: int | None = None


WAYS: dict[str, Way] = {
    "joint": Way(joint=True),
    "weighted": Way(mode="weighted"),
    "per_stratum": Way(mode="per_stratum", source="split"),
    "per_stratum, segments": Way(mode="per_stratum", source="segments"),
    "gram rule": Way(rule="dot_attention", source="split"),
    "gram rule, segments": Way(rule="dot_attention", source="segments"),
    "plugins": Way(mode="per_stratum", source="split", plugins=True),
    "plugins, segments": Way(mode="per_stratum", source="segments", plugins=True),
    "LTP": Way(mode="aligned", alignment=AlignmentConfig(inner_steps=2)),
}
"""What a run may choose, by name."""


def batches_of(size: Size, steps: int, *, seed: int = 0) -> list[SequenceBatch]:
    """One batch a step, rows sorted by length as the loader has them."""
    draw = torch.Generator().manual_seed(seed)
    return [_batch(size, step, draw) for step in range(steps)]


def _batch(size: Size, step: int, draw: torch.Generator) -> SequenceBatch:
    share_B = torch.rand(size.rows, generator=draw, dtype=torch.float64)
    lengths_B = (1 + share_B**3 * size.max_len).long().clamp(max=size.max_len).sort(descending=True).values
    stratum_B = (share_B.sort(descending=True).values * size.strata).long()
    total = int(lengths_B.sum())
    items = (torch.rand(total + 1, generator=draw, dtype=torch.float64) ** 2 * size.items).long() + 1
    counts_K = torch.zeros(size.strata, dtype=torch.int64).index_add(0, stratum_B, lengths_B)
    offsets = torch.cat([lengths_B.new_zeros(1), lengths_B.cumsum(0)])
    keys, slots = torch.randperm(1 << 20, generator=draw)[: size.rows], torch.randperm(size.rows, generator=draw)
    host = HostRows(lengths_B.clone(), stratum_B.clone(), slots.clone())
    return SequenceBatch(items[:-1], items[1:], offsets, stratum_B, keys, counts_K, step=step, slot_B=slots, host=host)


def module_of(size: Size, way: Way) -> BackboneModule:
    """The module that is trained; the same initial weights for the same size."""
    torch.manual_seed(1)
    backbone: nn.Module = BACKBONES[size.backbone].make(
        size.items, size.max_len, width=size.width, dropout=size.dropout, **size.more
    )
    if way.plugins:
        backbone = plug(backbone, num_strata=size.strata)
        backbone.wake(0)
    count = torch.arange(size.items + 1).flip(0).clamp(min=1)
    objective = OBJECTIVES[size.objective].make(train_count=count, gather=all_gather_ids, among=None, **size.options)
    losses = PositionLosses(objective, EMPHASES["none"].make(gather=all_gather_ids))
    name, ids = next((name, module) for name, module in backbone.named_modules() if isinstance(module, IdVectors))
    touched = TouchedTable(ids, f"backbone.{name}.weight") if size.touched else None
    return BackboneModule(
        backbone,
        losses,
        num_strata=size.strata,
        seed=3,
        make_optimizer=lambda module: adamw(
            module, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98), eps=1e-8, group_of=module.group_of
        ),
        rate=lambda _: 1.0,
        validator=cast(Validator, None),  # nothing is validated
        touched=touched,
    )


def strategy_of(size: Size, way: Way, device: str) -> Any:
    """Lightning's own for joint training, else the stratified one."""
    if way.joint:
        return "auto"
    prior_K = torch.full((size.strata,), 1 / size.strata, dtype=torch.float64)
    rule = RULES[way.rule].make(prior_K=prior_K, empty=Hajek(prior_K, torch.ones_like(prior_K)), **_options_of(way.rule))
    options = StratifiedOptions(
        rule, prior_K, rule_name=way.rule, mode=way.mode, source=way.source, alignment=way.alignment, probe_every=way.probe_every
    )
    return StratifiedSingleDeviceStrategy(
        device=torch.device("cuda", 0) if device == "cuda" else torch.device(device), options=options
    )


def _options_of(rule: str) -> dict[str, Any]:
    config = RULES[rule].config()
    return {name: getattr(config, name) for name in config.__slots__ if name != "name"}


def fit(
    size: Size,
    way: Way,
    batches: list[SequenceBatch],
    callbacks: list[pl.Callback],
    *,
    device: str = "cpu",
    precision: str = "32-true",
) -> BackboneModule:
    """Train one step per batch. Returns the module."""
    module = module_of(size, way)
    if precision == "64-true":
        module = module.double()
        precision = "32-true"  # of what is in float64 already, Lightning converts nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu" if device == "cpu" else "gpu",
            devices=1,
            strategy=strategy_of(size, way, device),
            precision=cast(Any, precision),
            max_steps=len(batches),
            limit_val_batches=0,
            logger=False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        loader: Any = DataLoader(cast(Any, batches), batch_size=None, collate_fn=cast(Any, _same))
        trainer.fit(module, train_dataloaders=loader)
    return module


def _same(batch: SequenceBatch) -> SequenceBatch:
    return batch


def tensors_on_device(module: pl.LightningModule, batch: SequenceBatch) -> Iterator[Any]:
    """What an accelerator would hold before a step: weights, buffers, and of the batch all but what stays with the host."""
    yield from module.parameters()
    yield from module.buffers()
    yield from batch.of_the_device()


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Trained weights by name, on the CPU."""
    return {name: parameter.detach().cpu() for name, parameter in module.named_parameters()}
