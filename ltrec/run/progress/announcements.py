"""Notes at the start of a run: users that training leaves out, strata without a plugin of their own, slow products."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ltrec.config.tree import RunConfig
from ltrec.data.stream.order.plan import Plan
from ltrec.objectives.config import SoftmaxConfig
from ltrec.terminal.screen import note, say


def say_visits(plan: Plan) -> None:
    """Print how many users training leaves out, and under quotas how often an epoch visits a user of each stratum."""
    if plan.users != "all":
        share = plan.train_rows / plan.trainable_rows
        say(
            f"stream.users={plan.users}: training on {plan.train_rows:,} of {plan.trainable_rows:,} users ({share:.1%}); "
            "evaluation is on all"
        )
    if len(plan.pools) > 1:
        say(f"visits per user and epoch: {', '.join(f'{name} {times:.2f}' for name, times in plan.visits_per_epoch.items())}")


def say_untrained(plan: Plan, heirs: Sequence[int]) -> None:
    """Print, by stratum, how many users have a target to train on, and which plugins serve strata that train none.

    Args:
        plan: of the run.
        heirs: for each stratum the one that trains its plugins.
    """
    trained = plan.trained
    for z, (users, of_all) in enumerate(zip(trained.users_K, trained.all_K, strict=True)):
        if users < of_all:
            say(f"stratum {z}: {users:,} of {of_all:,} users have a target to train on")
    for z, heir in enumerate(heirs):
        if heir != z:
            say(f"stratum {z} trains no plugin: that of stratum {heir} serves it")


def note_slow_products(config: RunConfig, accelerator: str) -> None:
    """Name an option that asks for bfloat16 products of a CPU that has no instructions for them.

    Args:
        config: of the run.
        accelerator: `cpu` or `gpu`.
    """
    has_instructions = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)  # absent where oneDNN is
    if accelerator != "cpu" or has_instructions():
        return
    matmul = config.objective.matmul if isinstance(config.objective, SoftmaxConfig) else ""
    precision = config.trainer.precision
    asked = (("objective.matmul", matmul, "bfloat16", "float32"), ("trainer.precision", precision, "bf16-mixed", "32-true"))
    for key, value, slow, fast in asked:
        if value == slow:
            note(f"{key}={slow}: this processor has no bfloat16 instructions, so products take ten times as long; set {key}={fast}")
