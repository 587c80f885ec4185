"""What a Lightning module must offer to be trained on stratified gradients, beside what Lightning asks of it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.core.losses import ExampleLosses, SubBatchKey


@runtime_checkable
class StratifiedModule(Protocol):
    """A stage. Its `training_step` is never called: the strategy owns the loop."""

    num_strata: int
    has_plugins: bool

    @property
    def plugins_awake(self) -> bool:
        """Whether plugins take part in the losses. Turns true once, between two steps, where there are some."""

    @property
    def couples_rows(self) -> bool:
        """Whether a row's loss depends on the other rows of its micro-batch."""

    def losses(self, batch: SequenceBatch) -> ExampleLosses:
        """One loss per example of any sub-batch; never reduced."""

    def seed_dropout(self, batch: SequenceBatch, part: SubBatchKey = None) -> None:
        """Key dropout to this micro-batch, and to the part of it that is run alone. A task's key must not depend on the rank."""

    def plugin_of(self, name: str) -> int | None:
        """The stratum whose plugin owns the parameter of that name; None for the trunk."""


def as_stage(module: object, strategy: str) -> StratifiedModule:
    """A Lightning module as the engine sees it.

    Args:
        module: the module.
        strategy: its strategy's name, for the message.

    Raises:
        UserError: it lacks something.
    """
    if not isinstance(module, StratifiedModule):
        raise UserError(
            f"{type(module).__name__} cannot be trained by strategy {strategy}: see ltrec.strategy.module for what is missing"
        )
    return module
