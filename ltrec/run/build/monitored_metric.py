"""Check before training that validation measures the monitored metric; without it there would never be a best checkpoint."""

from __future__ import annotations

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError, nearest
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.run.build.components import total_steps
from ltrec.training.validation import Validator


def refuse_monitor(config: RunConfig, validator: Validator, histories: SplitHistories) -> None:
    """Refuse a `trainer.monitor` that validation does not measure.

    Args:
        config: the resolved run.
        validator: of the run.
        histories: the validation split. If no user has a target there, any metric is accepted, and the run says so.

    Raises:
        UserError: there is no such metric, or its group has no users.
    """
    monitor, known = config.trainer.monitor, validator.names()
    if monitor not in known:
        raise UserError(
            f"trainer.monitor={monitor}: validation gives no such metric{nearest(monitor, known)}; it gives {', '.join(known)}"
        )
    given = validator.names_for(*histories.strata_and_activity())
    if histories.num_rows and monitor not in given:
        raise UserError(
            f"trainer.monitor={monitor}: nobody of that group has a validation target in {config.data.path}; watch one of "
            f"{', '.join(given) or 'none: train with trainer.patience=0'}"
        )


def not_validated(config: RunConfig, plan: Plan) -> str | None:
    """A line about a run that ends before its first validation; None otherwise."""
    every = config.trainer.validate_every_epochs
    steps, first = total_steps(config, plan), every * plan.steps_per_epoch
    if steps >= first:
        return None
    return (
        f"trainer.validate_every_epochs={every} comes to step {first:,} and the run ends at step {steps:,}: nothing is validated, "
        "nothing stops the run early, and its best checkpoint is the last"
    )
