"""`ToyStage` under a real Lightning Trainer: a case says how a run is set up, `train` runs it on any number of ranks.

Windows are dealt to `parts` ranks. A run of that many ranks gets them as dealt; a run of one rank gets all rows, so that both see
the same global batches. Four of six windows have holes: a rank lacks a stratum, all ranks lack one, a rank has nothing, nobody has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.core.losses import ExampleLosses
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.collectives import all_reduce_sum
from ltrec.distributed.report import StepReport
from ltrec.strategy import Stratified, StratifiedDDPStrategy, StratifiedOptions, StratifiedSingleDeviceStrategy
from ltrec.training.callbacks.rank_consistency import RankConsistency
from tests.support.rules import build
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import Row, Window, crowded

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.1, eps=1e-6),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
}


@dataclass(frozen=True)
class Case:
    """One run."""

    rule: str = "backdoor"
    rule_options: dict[str, Any] = field(default_factory=dict)
    mode: str = "auto"
    source: str = "auto"
    optimizer: str = "adamw"
    strata: int = 3
    parts: int = 2
    steps: int = 6
    accumulate: int = 1
    clip: float | None = None
    clip_by: str = "norm"
    scale: float | None = None
    """Initial scale of a GradScaler; None = none."""
    half: bool = False
    """Whether a run with a scaler computes in float16 as well, as it would on a GPU."""
    nonfinite: str = "stop"
    spoil: tuple[int, int, int] | None = None
    """(step, stratum, rank) of losses that are no number."""
    probe_every: int | None = None
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    """Of mode aligned."""
    check_every: int = 0
    corrupt: int | None = None
    """The step after which a bit of the last rank flips."""
    order: tuple[int, ...] | None = None
    """Stratum z is called order[z]."""
    ranks: tuple[int, ...] | None = None
    """What was rank r's is rank ranks[r]'s."""
    holes: tuple[int, ...] = (1, 2, 3, 4)
    """Steps whose hole is there."""
    weighed: bool = False
    """Whether targets have weights, and some events are not targets."""
    plugins: bool = False
    couples_rows: bool = False
    unused: bool = False
    """Whether a parameter is trainable that nobody uses; DDP's wrapper must be told of such."""
    dtype: torch.dtype = torch.float64

    @property
    def prior_K(self) -> Tensor:
        """1 : 2 : ... : K, relabelled with the strata."""
        shares = torch.arange(1, self.strata + 1, dtype=torch.float64)
        prior_K = shares / shares.sum()
        return prior_K if self.order is None else prior_K[torch.tensor(self.order).argsort()]

    def window(self, step: int) -> Window:
        """Step 1: rank 1 lacks stratum 1. Step 2: nobody has the last stratum. Step 3: rank 0 has nothing. Step 4: nobody has."""
        last = self.strata - 1
        holes: dict[int, Callable[[Row], bool]] = {
            1: lambda row: row.rank == 1 and row.stratum == 1,
            2: lambda row: row.stratum == last,
            3: lambda row: row.rank == 0,
            4: lambda row: True,
        }
        window = replace(crowded(self.parts, self.strata, self.accumulate, seed=step), step=step)
        window = window.weighed(step) if self.weighed else window
        if step in holes and step in self.holes and not (self.spoil and self.spoil[0] == step):
            window = window.without(holes[step])
        if self.order is not None:
            window = window.relabelled(self.order)
        return window if self.ranks is None else window.reranked(self.ranks)

    def batches(self, rank: int, world: int) -> list[SequenceBatch]:
        """All micro-batches of one rank."""
        alone = world == 1 and self.parts > 1
        return [batch for step in range(self.steps) for batch in self._of(step, alone).batches(rank)]

    def _of(self, step: int, alone: bool) -> Window:
        window = self.window(step)
        if not alone:
            return window
        return replace(window, world=1, rows=tuple(replace(row, rank=0) for row in window.rows))


@dataclass(frozen=True)
class Loader:
    """Batches as Lightning takes them: a list would be several loaders."""

    batches: list[SequenceBatch]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SequenceBatch]:
        return iter(self.batches)


class LightningToy(pl.LightningModule):
    """A `ToyStage` and what Lightning and the strategies ask of it besides. Its buffer counts its forward passes."""

    joint_training_step = True

    def __init__(self, case: Case) -> None:
        super().__init__()
        first = 0 if case.order is None else case.order[0]
        self.toy = ToyStage(case.strata, plugins=case.plugins, couples_rows=case.couples_rows, first=first, dtype=case.dtype)
        if case.order is not None and case.plugins:
            self.toy.plugins = nn.ParameterList([self.toy.plugins[z] for z in torch.tensor(case.order).argsort().tolist()])
        self.toy.unused.requires_grad_(case.unused)
        self.register_buffer("passes", torch.zeros(()), persistent=False)
        self.case, self.num_strata, self.couples_rows = case, case.strata, case.couples_rows
        self.users_K = [1] * case.strata
        self.has_plugins = self.plugins_awake = case.plugins

    def losses(self, batch: SequenceBatch) -> ExampleLosses:
        """The toy's, spoilt where the case says so."""
        if self.training:
            self.passes += 1
        with torch.autocast(self.device.type, enabled=False) if not self.case.half else nullcontext():
            example = self.toy.losses(batch)
        if self.case.spoil is None or (batch.step, self.global_rank) != (self.case.spoil[0], self.case.spoil[2]):
            return example
        factor = torch.where(example.stratum_N == self.case.spoil[1], torch.nan, 1.0)
        return example._replace(loss_N=example.loss_N * factor.to(example.loss_N))

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Joint training, as Lightning's own strategies do it: the mean loss of the window. Stratified ones never call it."""
        total = all_reduce_sum(batch.step_counts_K if batch.step_weights_K is None else batch.step_weights_K).sum()
        undo = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return self.losses(batch).loss_N.sum() * (undo / total)

    def seed_dropout(self, batch: SequenceBatch, stratum: int | None = None) -> None:
        """Nothing is random."""

    def plugin_of(self, name: str) -> int | None:
        return toy_owner(name.removeprefix("toy."))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return OPTIMIZERS[self.case.optimizer](p for p in self.parameters() if p.requires_grad)


class Log(Callback):
    """What happened, in order; the gradient that the optimiser was about to see; every step's report, losses and traffic."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.seen: list[dict[str, Tensor]] = []
        self.after: list[Tensor] = []
        """All parameters as one vector, after every micro-batch."""
        self.reports: list[StepReport | None] = []
        self.calls: list[dict[str, int]] = []
        self.sent: list[dict[str, int]] = []

    def on_before_backward(self, *_: Any) -> None:
        self.events.append("before_backward")

    def on_after_backward(self, *_: Any) -> None:
        self.events.append("after_backward")

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        self.events.append("before_step")
        self.seen.append({name: p.grad.cpu().clone() for name, p in pl_module.named_parameters() if p.grad is not None})

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.after.append(torch.cat([p.detach().flatten().cpu() for p in trainer.lightning_module.parameters()]))
        if not isinstance(trainer.strategy, Stratified):
            return
        collectives = trainer.strategy.engine.collectives
        self.reports.append(trainer.strategy.report)
        self.calls.append(dict(collectives.calls))
        self.sent.append(dict(collectives.sent))


class Corrupt(Callback):
    """Flips a bit of one parameter of the last rank after a step."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step and trainer.global_rank == trainer.world_size - 1:
            pl_module.toy.mix.detach().view(-1).view(torch.uint8)[0] ^= 1


@dataclass
class Trained:
    """What one rank is left with; `error` is what its user would read."""

    weights: dict[str, Tensor]
    passes: float
    optimizer: dict[int, dict[str, Tensor]]
    log: Log
    scale: float | None
    steps: int
    error: str | None


def strategy_of(case: Case, world: int, **options: Any) -> Any:
    """The strategy of the case for a world of that size."""
    stratified = StratifiedOptions(
        rule=build(case.rule, case.prior_K, **case.rule_options),
        prior_K=case.prior_K,
        mode=case.mode,
        source=case.source,
        nonfinite=case.nonfinite,
        probe_every=case.probe_every,
        alignment=case.alignment,
    )
    return (StratifiedSingleDeviceStrategy if world == 1 else StratifiedDDPStrategy)(options=stratified, **options)


def trainer_of(case: Case, strategy: Any, world: int, callbacks: list[Callback], accelerator: str = "cpu") -> pl.Trainer:
    """A Trainer that does nothing but train."""
    scaler = None if case.scale is None else torch.amp.GradScaler(accelerator.replace("gpu", "cuda"), init_scale=case.scale)
    return pl.Trainer(
        accelerator=accelerator,
        devices=world,
        strategy=strategy,
        max_epochs=1,
        accumulate_grad_batches=case.accumulate,
        gradient_clip_val=case.clip,
        gradient_clip_algorithm=case.clip_by,
        plugins=[] if scaler is None else [MixedPrecision("16-mixed", accelerator.replace("gpu", "cuda"), scaler=scaler)],
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )


def train(rank: int, world: int, case: Case, strategy: Any = None, accelerator: str = "cpu", hooks: Any = ()) -> Trained:
    """Run the case on this rank. A refusal is a result."""
    torch.manual_seed(rank)  # ranks differ wherever nobody takes care
    module, log = LightningToy(case), Log()
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor += 1000 * rank
    watch = [RankConsistency(case.check_every)] if case.check_every else []
    strategy = strategy_of(case, world) if strategy is None else strategy
    trainer = trainer_of(case, strategy, world, [Corrupt(case.corrupt), log, *watch, *hooks], accelerator)
    error = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec")  # inside Lightning, about torch
        try:
            trainer.fit(module, Loader(case.batches(rank, world)))
        except UserError as refusal:
            error = str(refusal)
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    state = {} if not trainer.strategy.optimizers else trainer.strategy.optimizers[0].state_dict()["state"]
    return Trained(
        weights={name: parameter.detach().cpu().clone() for name, parameter in module.toy.named_parameters()},
        passes=float(module.passes),
        optimizer={n: {k: v.cpu() for k, v in entry.items() if isinstance(v, Tensor)} for n, entry in state.items()},
        log=log,
        scale=None if scaler is None else scaler.get_scale(),
        steps=trainer.global_step,
        error=error,
    )
