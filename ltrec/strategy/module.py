"""What a Lightning module must offer to be trained on stratified gradients, beside what Lightning asks of it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.core.losses import ExampleLosses, SubBatchKey
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.touched_table import TouchedTable


@runtime_checkable
class StratifiedModule(Protocol):
    """A module as the strategies see it. Its `training_step` is never called (`warn_of_training_step`): `losses` is."""

    num_strata: int
    has_plugins: bool

    @property
    def plugins_awake(self) -> bool:
        """Whether plugins take part in the losses. Turns true once, between two steps, where there are some."""

    @property
    def couples_rows(self) -> bool:
        """Whether a row's loss depends on the other rows of its micro-batch."""

    def losses(self, batch: Any) -> ExampleLosses:
        """One loss and one stratum per example of any sub-batch, two vectors [N]; never reduced."""

    def seed_dropout(self, batch: Any, part: SubBatchKey = None) -> None:
        """Key dropout to this micro-batch, and to the part of it that is run alone. A task's key must not depend on the rank."""

    def plugin_of(self, name: str) -> int | None:
        """The stratum whose plugin owns the parameter of that name; None for the trunk."""


@runtime_checkable
class TouchesRows(Protocol):
    """A module whose losses read few rows of one large table; the strategies then compute gradients of these rows alone.

    Attributes:
        touched: the table; None where its steps read it all.
    """

    touched: TouchedTable | None

    def read_items(self, batch: Any) -> Tensor:
        """Ids of the rows that this process reads in the whole optimiser step that begins with a micro-batch, int64 [N]."""


def segments_obstacle(*modules: object) -> str | None:
    """Why gradients of these cannot be computed by segments (`ltrec.models.segments`); None: they can, as each says itself."""
    for module in modules:
        unknown = f"{type(module).__name__} does not say that its layers treat every position alike (segments_obstacle = None)"
        found: str | None = getattr(module, "segments_obstacle", unknown)
        if found is not None:
            return found
    return None


def splits_on(module: object, *, accelerator: bool) -> bool:
    """Whether a module's strata are better run one by one on such a device, as it says itself."""
    return ("accelerator" if accelerator else "cpu") in getattr(module, "splits_on", ())


def touched_of(module: object) -> TouchedTable | None:
    """The table of which a module's steps read few rows."""
    return module.touched if isinstance(module, TouchesRows) else None


def open_touched(module: object, batch: MicroBatch) -> None:
    """Begin a step with its first micro-batch: let the rows that it touches stand in for that table."""
    if isinstance(module, TouchesRows) and module.touched is not None:
        module.touched.open(module.read_items(batch))


REQUIRED = ("num_strata", "losses", "couples_rows", "has_plugins", "plugins_awake", "plugin_of", "seed_dropout")
"""Names of `StratifiedModule`, those first that `StratifiedModuleMixin` leaves open."""


class StratifiedModuleMixin:
    """Defaults for a module of your own without plugins; list it before LightningModule. Yours are `num_strata` and `losses`.

    Attributes:
        users_K: users in each stratum, whose shares are the default prior P(z). Not needed where the strategy is given its options.
        seed: root of dropout, which is keyed by (seed, step, rank, micro-batch, stratum).
        couples_rows: set it to True where a row's loss depends on other rows, as with in-batch negatives. Batch norm is noticed.
        joint_training_step: set it to True in a class whose `training_step` is for ordinary strategies. It silences the warning
            that the stratified ones do not call it.
    """

    users_K: Any = None
    seed = 0
    couples_rows = False
    has_plugins = False
    plugins_awake = False
    joint_training_step = True  # the one below

    def plugin_of(self, name: str) -> int | None:
        """No parameter belongs to one stratum alone."""
        return None

    def seed_dropout(self, batch: MicroBatch, part: SubBatchKey = None) -> None:
        """Key dropout by `seed`, the step, the rank and what of the micro-batch is run alone."""
        rank, device = self.global_rank, self.device  # type: ignore[attr-defined]  # of a LightningModule
        key_dropout(self.seed, batch, part, rank=rank, device=device)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """For ordinary strategies: that of the next base class. The stratified strategies call `losses` in its place.

        Raises:
            UserError: no base class has one.
        """
        bases = type(self).__mro__[type(self).__mro__.index(StratifiedModuleMixin) + 1 :]
        if next((kind for kind in bases if "training_step" in vars(kind)), LightningModule) is not LightningModule:
            return super().training_step(batch, batch_idx)  # type: ignore[misc]  # of that class
        raise UserError(
            f"{type(self).__name__} has no training_step of its own and cannot be trained by an ordinary strategy; use "
            'Trainer(strategy="stratified") or define training_step'
        )


def key_dropout(seed: int, batch: MicroBatch, part: SubBatchKey, *, rank: int, device: torch.device) -> None:
    """Seed dropout by (seed, step, rank, micro-batch), and stratum if it is run alone: a resume needs no saved generator.

    A task is known by (trajectory, inner step), the same rows for every number of ranks, and so is its key.
    """
    if isinstance(part, tuple):
        key: tuple[int, ...] = (batch.step, *part)
    else:
        key = (batch.step, rank, batch.micro, *([] if part is None else [part]))
    mixed = mix(seed, *key) >> 1
    torch.default_generator.manual_seed(mixed)  # torch.manual_seed also notes a stack trace for every kind of device
    if device.type == "cuda":
        torch.cuda.manual_seed(mixed)


def as_stratified_module(module: object, strategy: str) -> StratifiedModule:
    """A Lightning module as the strategies see it.

    Args:
        module: the module.
        strategy: its strategy's name, for the message.

    Raises:
        UserError: it lacks something, or optimises by hand.
    """
    name = type(module).__name__
    if missing := [attribute for attribute in REQUIRED if not hasattr(module, attribute)]:
        raise UserError(
            f"{name} cannot be trained by strategy {strategy}: it lacks {', '.join(missing)}; define them, or inherit "
            "ltrec.strategy.StratifiedModuleMixin, which leaves num_strata and losses to you"
        )
    if not getattr(module, "automatic_optimization", True):
        raise UserError(
            f"{name} optimises by hand, and strategy {strategy} computes the gradients itself; set automatic_optimization = True"
        )
    assert isinstance(module, StratifiedModule)
    return module


def warn_of_training_step(module: object, strategy: str) -> None:
    """Warn, on rank 0, where a class of the module has a `training_step` that does not say that it is for ordinary strategies.

    What it logs, augments or returns would be missing without a word: the strategy calls `losses` in its place.
    """
    classes = [kind for kind in type(module).__mro__ if "training_step" in vars(kind) and kind is not LightningModule]
    if own := [kind.__name__ for kind in classes if not vars(kind).get("joint_training_step")]:
        rank_zero_warn(
            f"{own[0]}.training_step is never called under strategy {strategy}, which trains on {type(module).__name__}.losses; "
            f"move what it does there, or set joint_training_step = True in {own[0]} if it is meant for ordinary strategies"
        )
