"""The two stages of a run with plugins: settings that cannot work are refused, and the switch is built."""

from __future__ import annotations

from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import STAGE1
from ltrec.data.stream.order.plan import Plan
from ltrec.run.build.components import total_steps
from ltrec.terminal.screen import say
from ltrec.training.callbacks.switch import Switch
from ltrec.training.callbacks.weight_average import WeightAverage


def refuse_plugins(config: RunConfig, plan: Plan, *, limit: int | None) -> None:
    """Refuse plugins that would never be trained.

    Args:
        config: the resolved run.
        plan: the order of its batches.
        limit: steps per epoch at most; None = whole epochs.

    Raises:
        UserError: the run ends before stage 2 begins.
    """
    switch, section = config.switch, f"{config.trained_plugin_section}.switch"
    if switch is None:
        return
    steps_per_epoch = plan.steps_per_epoch if limit is None else min(limit, plan.steps_per_epoch)
    last = total_steps(config, plan) if limit is None else config.trainer.max_epochs * steps_per_epoch
    first = switch.first_step(steps_per_epoch=steps_per_epoch, total_steps=last)
    if first >= last:
        raise UserError(
            f"{section}.by={switch.by} {section}.at={switch.at:g}: plugins would wake at step {first}, and the run ends at "
            f"step {last} (trainer.max_epochs={config.trainer.max_epochs}, trainer.max_steps={config.trainer.max_steps}); switch "
            f"earlier, train longer, or say {config.trained_plugin_section}.name=none"
        )


def build_switch(config: RunConfig, checkpoints: Path, average: WeightAverage | None = None, *, quiet: bool) -> Switch | None:
    """The callback that switches to stage 2, for a run with plugins; it prints a line unless it is `quiet`."""
    if config.switch is None:
        return None
    return Switch(
        config.switch,
        max_steps=config.trainer.max_steps,
        monitor=config.trainer.monitor,
        best_of_first=checkpoints / STAGE1,
        average=average,
        say=(lambda _: None) if quiet else say,
    )
