"""The Lightning module: a backbone, an objective, and the one place where their losses are reduced to a step's loss.

Per-example losses come from `losses` and are reduced here, never below: the step's loss is the sum over every target of the
*global* batch (all ranks, all micro-batches) divided by their global count. Averaging per-rank means would weight a target more
the fewer targets its rank happens to hold.

    loss_N = objective(encode(batch), targets)          one number per example: a target, or a user (the mean over the targets)
    loss   = D * sum(loss_N) / N,   N = examples of the whole step, all-reduced before the first micro-batch; where events have
                                        weights, loss_N is multiplied by them and N is their sum

D undoes the averaging of the layers above: world size (DDP averages over ranks) x micro-batches (Lightning divides by them).

A backbone with plugins is trained in two stages: first the trunk alone, then both, from the call of `wake` on (see
`callbacks.switch`). The stage is a buffer of the state dict, so a checkpoint knows it too.

    learning rate    stage 1              stage 2
    trunk            rate(step)           rate(step) * trunk_rate
    plugins          0                    rate(step) * plugin_rate
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ltrec.core.batch import SequenceBatch
from ltrec.core.losses import ExampleLosses, SubBatchKey, summed_losses
from ltrec.core.sumcount import SumCount, or_one
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.distributed.collectives import DONE, Collectives, Pending
from ltrec.distributed.touched_table import TouchedTable
from ltrec.models.backbones import Scorer
from ltrec.models.plugins import WithPlugins
from ltrec.objectives.adversary import Adversary
from ltrec.optim.groups import PLUGINS, TRUNK, forget
from ltrec.strategy.accumulation import ends_accumulation
from ltrec.strategy.module import key_dropout, segments_obstacle
from ltrec.strategy.stratified import Stratified
from ltrec.training.checkpoints.recount import recount_batches
from ltrec.training.examples import examples_of
from ltrec.training.position_losses import PositionLosses
from ltrec.training.validation import Validator


class BackboneModule(pl.LightningModule):
    """Train a backbone on the examples of the global batch.

    Args:
        backbone: a Scorer, with or without plugins.
        loss: its loss at every position.
        adversary: a discriminator whose loss is added, if any.
        unit: what an example is: `target`, or `user`: the mean over the positions of a row.
        num_strata: K, the number of strata in the batches.
        seed: root of dropout and negative draws, which are keyed by (seed, step, ...) and need no saved generator state.
        make_optimizer: module -> optimiser; its groups are named by `group_of`.
        rate: optimiser step -> factor on the peak learning rate.
        trunk_rate: what the trunk's rate is multiplied by once the plugins are awake.
        plugin_rate: what the plugins' rate is multiplied by.
        validator: receives every validation chunk and gives metrics at the end.
        touched: the item table, where a step's losses read few of its rows; None: every step reads and moves all.
        about_rows: one line for people: which it is, and why.
    """

    joint_training_step = True  # the stratified strategies call `losses` alone

    def __init__(
        self,
        backbone: nn.Module,
        loss: PositionLosses,
        *,
        adversary: Adversary | None = None,
        unit: str = "target",
        num_strata: int,
        seed: int,
        make_optimizer: Callable[[BackboneModule], Optimizer],
        rate: Callable[[int], float],
        trunk_rate: float = 1.0,
        plugin_rate: float = 1.0,
        validator: Validator,
        touched: TouchedTable | None = None,
        about_rows: str = "",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.loss = loss
        self.adversary = adversary
        self.unit = unit
        self.num_strata = num_strata
        self.seed = seed
        self.make_optimizer = make_optimizer
        self.rate = rate
        self.trunk_rate, self.plugin_rate = trunk_rate, plugin_rate
        self.has_plugins = isinstance(backbone, WithPlugins)
        self.validator = validator
        self.step_losses: SumCount | None = None
        self.touched, self.about_rows = touched, about_rows
        self._ddp_params_and_buffers_to_ignore = [*constants_of(self), *([touched.name] if touched is not None else [])]
        self._step_examples: Tensor | None = None
        self._counted: Pending = DONE

    def losses(self, batch: SequenceBatch) -> ExampleLosses:
        """The loss of every example in `batch`, in position or row order."""
        loss_N, states_TD = self.loss(self.backbone, batch, self.seed, self.unit)
        if self.adversary is not None:
            assert states_TD is not None
            loss_N = loss_N + self.adversary(batch, states_TD)
        return examples_of(batch, loss_N, self.unit)

    def read_items(self, batch: SequenceBatch) -> Tensor:
        """Items whose vectors this process reads in the step that begins with a micro-batch [N]."""
        if (items := batch.step_items) is None:
            items = torch.cat([batch.items_T, batch.targets_T])
        return torch.cat([items, self.loss.read_items(batch, self.seed)])

    @property
    def couples_rows(self) -> bool:
        """Whether a row's loss depends on the other rows of its micro-batch, so that no stratum may be run alone."""
        return self.loss.coupled

    @property
    def segments_obstacle(self) -> str | None:
        """Why gradients cannot be computed by segments; None: they can."""
        return segments_obstacle(self.backbone, self.loss.objective)

    @property
    def splits_on(self) -> tuple[str, ...]:
        """Devices on which strata are better run one by one: `cpu`, `accelerator`."""
        return getattr(self.backbone, "splits_on", ())

    def seed_dropout(self, batch: SequenceBatch, part: SubBatchKey = None) -> None:
        """Key dropout by the run's seed, the step, the rank and what of the micro-batch is run alone."""
        key_dropout(self.seed, batch, part, rank=self.global_rank, device=self.device)

    def plugin_of(self, name: str) -> int | None:
        """The stratum whose plugin owns the parameter; None for the trunk, and for all that every stratum trains."""
        place, _, rest = name.partition(".")
        return self.with_plugins.plugin_of(rest) if place == "backbone" and self.has_plugins else None

    # -- two stages -------------------------------------------------------------------------------------------------------------

    @property
    def with_plugins(self) -> WithPlugins:
        """The backbone, which has plugins."""
        assert self.has_plugins
        return self.backbone  # type: ignore[return-value]

    @property
    def stage_number(self) -> int:
        """1 while there are plugins that have not woken, else 2."""
        return 1 if self.has_plugins and not self.plugins_awake else 2

    @property
    def plugins_awake(self) -> bool:
        """Whether the plugins take part in training."""
        return self.has_plugins and self.with_plugins.awake

    def wake(self, step: int) -> None:
        """Begin stage 2 with this step: plugins take part, all learning rates change at once. Every rank calls this."""
        self.with_plugins.wake(step)
        for optimizer in self.trainer.optimizers:
            forget(optimizer, PLUGINS)
        for config in self.trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            assert isinstance(scheduler, LambdaLR)
            for entry, peak, factor in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True):
                entry["lr"] = peak * factor(scheduler.last_epoch)

    def group_of(self, name: str) -> str:
        """The optimiser group of a parameter: in a backbone with plugins, everything outside the trunk belongs to the plugins."""
        return PLUGINS if self.has_plugins and name.startswith("backbone.") and not name.startswith("backbone.trunk.") else TRUNK

    def _factor(self, group: str) -> Callable[[int], float]:
        """Step -> factor on a group's peak learning rate in the stage that is current by then."""

        def factor(step: int) -> float:
            share = {TRUNK: self.trunk_rate if self.plugins_awake else 1.0, PLUGINS: self.plugin_rate * self.plugins_awake}
            return self.rate(step) * share[group]

        return factor

    # -- the loop ---------------------------------------------------------------------------------------------------------------

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """The micro-batch's share of the step's loss."""
        self.seed_dropout(batch)
        if batch.micro == 0:
            counted_K = batch.step_counts_K if batch.step_weights_K is None else batch.step_weights_K
            self._step_examples = counted_K.sum(dim=0, keepdim=True)
            self._counted = Collectives().all_reduce(self._step_examples)
            self.step_losses = None
            if self.touched is not None:
                self.touched.open(self.read_items(batch))
        assert self._step_examples is not None
        example = self.losses(batch)
        self.step_losses = summed_losses(self.step_losses, example, self.num_strata)
        undo = self.trainer.world_size * self.trainer.accumulate_grad_batches
        loss = example.loss_N.sum()
        self._counted.wait()  # under way since before the forward pass
        return loss * (undo / or_one(self._step_examples)[0]).to(loss.dtype)

    def on_train_start(self) -> None:
        """Share the world of an ordinary strategy with the table; the stratified ones have done so."""
        if self.touched is not None and not isinstance(self.trainer.strategy, Stratified):
            self.touched.join(Collectives())

    def on_after_backward(self) -> None:
        """After the last micro-batch put the touched rows' gradients back; the stratified strategies have done so."""
        if self.touched is not None and self.touched.is_open and ends_accumulation(self.trainer):
            self.touched.publish(average_over=self.trainer.world_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint that may have accumulated otherwise."""
        recount_batches(checkpoint, self.trainer.accumulate_grad_batches)

    def validation_step(self, chunk: HistoryChunk | None, batch_idx: int) -> None:
        """Rank one chunk of validation users; None when the last chunks went to other ranks."""
        if chunk is not None:
            assert isinstance(self.backbone, Scorer)
            self.validator.add(self.backbone.scores(chunk.batch.to(self.device)), chunk)

    def on_validation_epoch_end(self) -> None:
        """Gather the ranks of all users and publish the metrics, equal on every rank."""
        for name, value in self.validator.finish().items():
            exact = torch.tensor(value, dtype=torch.float64)  # a float would be rounded to float32
            self.log(name, exact, logger=False, prog_bar=name == self.validator.monitor, batch_size=1)

    def configure_optimizers(self) -> Any:
        """The optimiser with its per-step schedule."""
        optimizer = self.make_optimizer(self)
        scheduler = LambdaLR(optimizer, [self._factor(entry["name"]) for entry in optimizer.param_groups])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def constants_of(module: nn.Module) -> list[str]:
    """Names of buffers that no checkpoint holds: tables of the data, such as items' columns, the same on every rank from the start.

    DDP would broadcast them before every forward pass.
    """
    kept = module.state_dict().keys()
    return [name for name, _ in module.named_buffers() if name not in kept]
