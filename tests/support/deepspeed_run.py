"""Lightning over DeepSpeed on the toy stage: many short runs in one pair of processes, and the definition they must agree with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.core.losses import ExampleLosses
from ltrec.optim.build import adamw
from ltrec.strategy import StratifiedOptions, make_strategy
from tests.support.naive_strata import naive_step
from tests.support.toy_rules import ToyCoordinate, ToyGram, ToyLinear, renormalised
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import crowded

WORLD, STRATA, STEPS = 2, 3, 5
PRIOR_K = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
RULES = {"linear": ToyLinear, "gram": ToyGram, "coordinate": ToyCoordinate}


@dataclass(frozen=True)
class Case:
    """One training run."""

    rule: str = "linear"
    mode: str = "auto"
    micros: int = 1
    clip: float | None = None
    stage: dict[str, Any] = field(default_factory=dict)
    weighed: bool = False
    """Whether targets have weights, and some events are not targets."""
    probe_every: int | None = None
    dropout: float = 0.0
    precision: str = "32-true"
    nonfinite: str = "stop"
    poison: tuple[int, int] | None = None
    """(step, stratum) of losses that are no numbers, on rank 1 alone."""
    finite_loss: bool = False
    """The poison shows in the gradient only."""


def window(case, step):
    """Step 1: rank 1 lacks stratum 1. Step 2: nobody has stratum 2. Step 3: rank 0 has nothing at all."""
    holes = {1: lambda r: r.rank == 1 and r.stratum == 1, 2: lambda r: r.stratum == 2, 3: lambda r: r.rank == 0}
    whole = crowded(WORLD, STRATA, case.micros, seed=step).at(step)
    whole = whole.weighed(step) if case.weighed else whole
    return whole if case.poison and step == case.poison[0] else whole.without(holes.get(step, lambda row: False))


class ToyModule(pl.LightningModule):
    """A ToyStage in float32, as Lightning and the strategy want it, with a dropout of examples."""

    joint_training_step = True

    def __init__(self, case, rank=None):
        super().__init__()
        self.case, self.stage, self._rank = case, ToyStage(STRATA, dtype=torch.float32, **case.stage), rank
        self.num_strata, self.couples_rows = STRATA, self.stage.couples_rows
        self.has_plugins = self.plugins_awake = bool(self.stage.plugins)

    @property
    def rank(self):
        return self.global_rank if self._rank is None else self._rank

    def losses(self, batch):
        loss_N, stratum_N, weight_N = self.stage.losses(batch)
        if self.case.dropout:
            loss_N = loss_N * (torch.rand(len(loss_N)) >= self.case.dropout)
        poison = self.case.poison
        if poison is not None and batch.step == poison[0] and self.rank == 1:
            nan = (self.stage.mix.sum() * 0).sqrt() if self.case.finite_loss else self.stage.mix.sum() * float("nan")
            loss_N = loss_N + torch.where(stratum_N == poison[1], nan, 0.0)
        return ExampleLosses(loss_N, stratum_N, weight_N)

    def seed_dropout(self, batch, stratum=None):
        torch.manual_seed(mix(batch.step, self.rank, batch.micro, -1 if stratum is None else stratum) >> 1)

    def plugin_of(self, name):
        return toy_owner(name.removeprefix("stage."))

    def training_step(self, batch, batch_idx):
        raise AssertionError("the strategy owns the loop")

    def configure_optimizers(self):
        return optimizer_of(self)


def optimizer_of(module):
    """A large eps keeps Adam from blowing up rounding."""
    return adamw(module, lr=0.05, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-3)


@dataclass
class Ran:
    """What one rank brings back: weights (rank 0 alone), every window's counts, weights and Gram matrix, calls of hooks."""

    weights: dict[str, Any]
    windows: list[tuple[Any, Any, Any]]
    """Nothing but None for a step that was left out."""
    hooks: dict[str, int]


class Watch(pl.Callback):
    """Remembers every window's report, and how often hooks fired."""

    def __init__(self):
        self.numbers, self.hooks = [], {"before_backward": 0, "after_backward": 0}

    def on_before_backward(self, trainer, pl_module, loss):
        self.hooks["before_backward"] += 1

    def on_after_backward(self, trainer, pl_module):
        self.hooks["after_backward"] += 1

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch.micro + 1 == trainer.accumulate_grad_batches:
            report = trainer.strategy.report
            numbers = (None, None, None) if report is None else (report.counts_K, report.weights_K, report.gram_KK)
            self.numbers.append(tuple(None if tensor is None else tensor.numpy() for tensor in numbers))


def train(case, zero_stage, rank):
    """One run on one rank, or the line it ended with."""
    batches = [batch for step in range(STEPS) for batch in window(case, step).batches(rank)]
    options = {"mode": case.mode, "probe_every": case.probe_every, "nonfinite": case.nonfinite}
    watch, module = Watch(), ToyModule(case)
    # Without a threshold of 0 ZeRO-3 would keep parameters as small as these whole.
    zero = {"stage3_param_persistence_threshold": 0} if zero_stage == 3 else {}
    try:
        strategy = make_strategy(
            f"stratified_deepspeed_stage_{zero_stage}",
            options=StratifiedOptions(RULES[case.rule](PRIOR_K), PRIOR_K, **options),
            zero=zero,
            process_group_backend="gloo",
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=WORLD,
            strategy=strategy,
            precision=case.precision,
            max_epochs=1,
            accumulate_grad_batches=case.micros,
            gradient_clip_val=case.clip,
            callbacks=[watch],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, DataLoader(batches, batch_size=None))
    except UserError as error:
        return str(error)
    state = strategy.lightning_module_state_dict()
    return Ran({name: tensor.numpy() for name, tensor in state.items()}, watch.numbers, watch.hooks)


def naive_run(case):
    """The weights and every step's numbers, in plain torch and one process."""
    module, steps = ToyModule(replace(case, poison=None), rank=0), []
    optimizer = optimizer_of(module)

    def weights(gram_KK, counts_K):
        return ToyGram(PRIOR_K).weights(gram_KK, counts_K, 0) if case.rule == "gram" else renormalised(PRIOR_K, counts_K)

    for step in range(STEPS):
        batches = window(case, step).all_batches()
        found = naive_step(module.stage, batches, weights, toy_owner, PRIOR_K)
        steps.append(found)
        if case.poison and step == case.poison[0]:
            continue
        for name, parameter in module.stage.named_parameters():
            # ZeRO gives a parameter that no loss reaches a gradient of zeros.
            parameter.grad = found.gradients[name].clone() if name in found.gradients else None
        if case.clip:
            torch.nn.utils.clip_grad_norm_(module.parameters(), case.clip)
        optimizer.step()
    return module.state_dict(), steps
