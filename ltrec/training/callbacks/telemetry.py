"""The lines of metrics.jsonl (and of every other logger): losses, strata, rates and throughput, and validation metrics."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import diverged
from ltrec.core.sumcount import SumCount
from ltrec.distributed.collectives import all_reduce_sum, current_world
from ltrec.objectives.adversary import adversary_metrics
from ltrec.optim.groups import PLUGINS, TRUNK
from ltrec.training.callbacks.health import Health
from ltrec.training.module import BackboneModule
from ltrec.training.steps import epoch_of, last_step, log_interval, step_ended, steps_per_epoch
from ltrec.training.strata_meter import ReportsStrata, StrataMeter


class Telemetry(Callback):
    """Writes losses, strata, learning rate, gradient norm and throughput every n steps, and the metrics of every validation.

    Args:
        every_steps: n; 0 = as `log_interval` has it.
        health: times the steps.
    """

    priority = 10

    def __init__(self, every_steps: int, health: Health) -> None:
        self.configured, self.every_steps, self.health = every_steps, every_steps, health
        self._steps = 0  # since the last line, in this process's life
        self._sums: SumCount | None = None
        self._strata = StrataMeter()
        self._verdicts: Tensor | None = None  # the discriminator's counts, where there is one
        self.loss: float | None = None  # of the last line that had one
        self._step: dict[str, float] = {}  # what is only known during the step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decide how often to write."""
        self.every_steps = log_interval(self.configured, min(steps_per_epoch(trainer), last_step(trainer)))

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        """Record the learning rate and the norm of the gradient (unscaled, before clipping) if this step will be written."""
        if (trainer.global_step + 1) % self.every_steps == 0:
            self._step = {**rates(optimizer), **gradient_norm(pl_module)}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step's losses; write a line when it is due."""
        assert isinstance(pl_module, BackboneModule)
        if not step_ended(trainer, batch):
            return
        self._steps += 1
        losses = self._losses(trainer.strategy, pl_module, batch)
        self._sums = losses if self._sums is None else self._sums + losses
        if pl_module.adversary is not None:
            taken = pl_module.adversary.take()
            self._verdicts = taken if self._verdicts is None else self._verdicts + taken
        if trainer.global_step % self.every_steps == 0:
            self._write(trainer, pl_module, self._sums)
            self._strata.reset()
            self._sums, self._verdicts, self._steps = None, None, 0

    def _losses(self, strategy: Strategy, stage: BackboneModule, batch: SequenceBatch) -> SumCount:
        """The step's losses on this rank; zeros without examples or in a skipped step, since every rank takes part in the sum."""
        losses = stage.step_losses
        if isinstance(strategy, ReportsStrata):
            self._strata.add(strategy.report)
            losses = None if strategy.report is None else strategy.step_losses
        if losses is not None:
            return losses
        sum_K = torch.zeros(stage.num_strata, dtype=torch.float64, device=stage.device)
        return SumCount(sum_K, sum_K.long(), None if batch.step_weights_K is None else sum_K)

    def _write(self, trainer: pl.Trainer, pl_module: BackboneModule, local: SumCount) -> None:
        total = _of_all_ranks(local)
        loss = float(total.mean())
        if loss != loss or abs(loss) == float("inf"):
            raise diverged(f"the loss is {loss}", trainer.global_step)
        self.loss = loss if total.count_K.any() else self.loss
        elapsed = self.health.seconds
        line: dict[str, float] = {
            "epoch": epoch_of(trainer),
            **stage_of(pl_module),
            **({"train/loss": loss} if total.count_K.any() else {}),
            **{f"train/loss/{z}": float(mean) for z, mean in enumerate(total.mean_K()) if mean == mean},
            **self._strata.line(),
            **({} if self._verdicts is None else adversary_metrics(all_reduce_sum(self._verdicts))),
            **self._step,
            **(trainer.strategy.metrics() if isinstance(trainer.strategy, ReportsStrata) else {}),
            **self.health.line(trainer, pl_module.device, self._steps),
            f"throughput/{pl_module.unit}s_per_s": float(total.count_K.sum()) / max(elapsed, 1e-9),
        }
        log(trainer, line)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the validation's metrics."""
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        if values and not trainer.sanity_checking:
            log(trainer, {"epoch": epoch_of(trainer), **stage_of(pl_module), **values})

    def state_dict(self) -> dict[str, Any]:
        """Losses of all ranks and strata since the last line, so that a resumed run writes the same next line. A collective."""
        if self._sums is None:
            return {}
        total = _of_all_ranks(self._sums)
        losses = {"sum": total.sum_K, "count": total.count_K} | ({} if total.weight_K is None else {"weight": total.weight_K})
        verdicts = {} if self._verdicts is None else {"verdicts": all_reduce_sum(self._verdicts)}
        return {**losses, **verdicts, "strata": self._strata.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the sums: rank 0 holds the losses of all ranks, the others hold zeros; the strata's figures are the same on all.

        Zeros rather than nothing: a run resumed from best.ckpt saves the end of that epoch before any step, and every rank must
        take part in that sum.
        """
        self._strata.load_state_dict(state_dict.get("strata", {}))
        share = 1 if current_world().rank == 0 else 0
        names = [name for name in ("sum", "count", "weight") if name in state_dict]
        self._sums = SumCount(*(state_dict[name] * share for name in names)) if state_dict else None
        self._verdicts = state_dict["verdicts"] * share if "verdicts" in state_dict else None


def _of_all_ranks(local: SumCount) -> SumCount:
    weight_K = None if local.weight_K is None else all_reduce_sum(local.weight_K)
    return SumCount(all_reduce_sum(local.sum_K), all_reduce_sum(local.count_K), weight_K)


def stage_of(module: pl.LightningModule) -> dict[str, float]:
    """`stage`: 1 or 2; no key without plugins, where there is only one stage."""
    assert isinstance(module, BackboneModule)
    return {"stage": module.stage_number} if module.has_plugins else {}


def rates(optimizer: Optimizer) -> dict[str, float]:
    """`lr`, the learning rate of the trunk, and `lr/plugins` where there are plugins: 0 until they wake."""
    by_group = {entry["name"]: entry["lr"] for entry in optimizer.param_groups}
    return {"lr": by_group[TRUNK], **({"lr/plugins": by_group[PLUGINS]} if PLUGINS in by_group else {})}


def gradient_norm(module: nn.Module) -> dict[str, float]:
    """The norm of the whole gradient; no key if the module holds none (ZeRO keeps its own, a skipped step has none)."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if not gradients:
        return {}
    norm = torch.nn.utils.get_total_norm(gradients)
    return {"grad_norm": float(norm.full_tensor() if isinstance(norm, DTensor) else norm)}


def log(trainer: pl.Trainer, line: dict[str, float]) -> None:
    """Send one line to every logger under the current optimiser step."""
    for logger in trainer.loggers:
        logger.log_metrics(line, step=trainer.global_step)
        logger.save()
