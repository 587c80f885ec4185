"""Two lines per validation, how good and how fast, for logs that are read hours later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar

from ltrec.data.stream.plan import Plan
from ltrec.launch.console import new_console
from ltrec.stages.callbacks import epoch_of
from ltrec.stages.datamodule import stream_of
from ltrec.stages.health import Health
from ltrec.strategy import Stratified

PHASES = ("loader", "compute", "communication", "optimizer", "other")
"""What a step's time is told apart into; see stages/health.py."""


def say_visits(plan: Plan) -> None:
    """Whom training leaves out; under quotas, how often an epoch visits a user of each stratum. Nobody should overlook either."""
    if plan.users != "all":
        share = plan.train_rows / plan.trainable_rows
        new_console().print(
            f"stream.users={plan.users}: training on {plan.train_rows:,} of {plan.trainable_rows:,} users ({share:.1%}); "
            "evaluation is on all",
            highlight=False,
            soft_wrap=True,
        )
    if len(plan.pools) > 1:
        visits = ", ".join(f"{name} {times:.2f}" for name, times in plan.visits_per_epoch.items())
        new_console().print(f"visits per user and epoch: {visits}", highlight=False, soft_wrap=True)


def say_untrained(plan: Plan, heirs: Sequence[int]) -> None:
    """Users without a target to train on, stratum by stratum, and whose plugins serve a stratum that nothing trains.

    Args:
        plan: of the run.
        heirs: the stratum whose plugins serve each one.
    """
    trained = plan.trained
    lines = [
        f"stratum {z}: {users:,} of {everybody:,} users have a target to train on"
        for z, (users, everybody) in enumerate(zip(trained.users_K, trained.all_K, strict=True))
        if users < everybody
    ]
    lines += [f"stratum {z} trains no plugin: that of stratum {heir} serves it" for z, heir in enumerate(heirs) if heir != z]
    for line in lines:
        new_console().print(line, highlight=False, soft_wrap=True)


def latest(trainer: pl.Trainer) -> dict[str, float]:
    """The last line on health; empty before the first."""
    health = next((callback for callback in trainer.callbacks if isinstance(callback, Health)), None)  # type: ignore[attr-defined]
    return {} if health is None else health.latest


def pace(trainer: pl.Trainer) -> dict[str, str]:
    """How fast, how much waiting and memory, how long yet, as of the last line of metrics.jsonl; empty before the first."""
    if not (line := latest(trainer)):
        return {}
    held = line.get("health/device_gib", line["health/rss_gib"])
    return {
        "speed": f"{line['throughput/sequences_per_s']:,.0f} seq/s",
        "waiting": f"{line['health/loader_share']:.0%} waiting",
        "memory": f"{held:.1f} GiB",
        "left": f"{timedelta(seconds=round(line['health/eta_s']))} left",
    }


def anatomy(trainer: pl.Trainer) -> str:
    """What a step's time was made of, in one line; empty before the first line of metrics.jsonl."""
    if not (line := latest(trainer)):
        return ""
    step = line["health/step_ms"]
    shares = [f"{name} {line[key] / step:.0%}" for name in PHASES if (key := f"health/{name}_ms") in line]
    return f"{line['throughput/events_per_s']:,.0f} events/s; a step takes {step:,.1f} ms: {', '.join(shares)}"


class Bar(RichProgressBar):
    """The progress bar, with the pace instead of a loss: that of strata is not Lightning's to show."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return {**shown, **pace(trainer)}


class Narrator(Callback):
    """Prints what a person would ask: how far, how good, for whom."""

    def __init__(self) -> None:
        self.console = new_console()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what is about to happen, or go on."""
        if trainer.is_global_zero:
            size = sum(getattr(p, "ds_numel", p.numel()) for p in pl_module.parameters())  # ZeRO-3 has let go of the values
            verb = "resuming at" if trainer.global_step else "starting at"
            self.console.print(
                f"{verb} step {trainer.global_step}: {trainer.num_training_batches} batches an epoch, {size:,} parameters, "
                f"{trainer.world_size} process(es), {trainer.precision}",
                highlight=False,
                soft_wrap=True,
            )
            if isinstance(strategy := trainer.strategy, Stratified):
                self.console.print(strategy.describe(), highlight=False, soft_wrap=True)
            if not stream_of(trainer).validates:
                self.console.print(
                    "no user has a validation target: nothing stops the run early, and its best checkpoint is the last"
                )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the validation's headline."""
        metrics = trainer.callback_metrics
        if not trainer.is_global_zero or "val/ndcg@10" not in metrics:
            return
        parts = [f"epoch {epoch_of(trainer):6.1f}", f"step {trainer.global_step:7d}"]
        for label, key in (("NDCG@10", ""), ("head", "/head"), ("tail", "/tail")):
            value = metrics.get(f"val/ndcg@10{key}")
            parts += [] if value is None else [f"{label} {float(value):.4f}"]
        parts.append(f"HR@10 {float(metrics['val/hr@10']):.4f}")
        parts += pace(trainer).values()
        self.console.print("  ".join(parts), highlight=False, soft_wrap=True)
        if made_of := anatomy(trainer):
            self.console.print(f"              {made_of}", highlight=False, soft_wrap=True)
