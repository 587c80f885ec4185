"""Stratified: the mixin that makes a Lightning strategy compute its gradients by stratum. Automatic optimisation stays.

    Lightning                          here
    strategy.training_step(batch)      keep the batch, return a zero
    optimizer.zero_grad                (Lightning's own)
    strategy.backward(zero)            hooks once; gradients by mode (`modes`), module.losses in the precision context
    unscale, hooks, clip, step         (Lightning's own, on the combined gradient)

So clipping, accumulation, AMP, hooks, schedulers and progress work as usual, on the combined gradient.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from ltrec.core.errors import UserError
from ltrec.core.losses import ExampleLosses, SubBatchKey
from ltrec.core.sumcount import SumCount
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.by_segments import SegmentedPass
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.report import StepReport
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.protocol import Store
from ltrec.distributed.stores.replicated import make_flat_store
from ltrec.distributed.strategies import STRATEGIES, StrategyInfo
from ltrec.distributed.touched_table import TouchedTable
from ltrec.strategy import gradients
from ltrec.strategy import options as choices
from ltrec.strategy.accumulation import Accumulation
from ltrec.strategy.launches import launches_cost
from ltrec.strategy.loader import StratifiedLoader
from ltrec.strategy.modes.protocols import GradientMode
from ltrec.strategy.modes.table import GRADIENT_MODES
from ltrec.strategy.module import (
    StratifiedModule,
    as_stratified_module,
    open_touched,
    segments_obstacle,
    splits_on,
    touched_of,
    warn_of_training_step,
)
from ltrec.strategy.options import StratifiedOptions
from ltrec.strategy.plugins import Plugins, correct, owners, plugins_of, with_all
from ltrec.strategy.skipping import SkipsSteps


class Stratified(SkipsSteps):
    """A mixin; list it before the Lightning strategy that it changes.

    Attributes:
        name: its row in `ltrec.distributed.strategies`.
        mode, source: chosen when the module is connected.
        engine: built at setup.
    """

    name = "stratified"

    mode: str
    source: str
    _accumulation: Accumulation
    _modes: dict[str, GradientMode]
    _active: GradientMode
    _module: StratifiedModule  # used in every pass, where looking up each attribute again would take time

    def __init__(self, *args: Any, options: StratifiedOptions | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._options = options
        self._batch: MicroBatch | None = None

    # -- setup ------------------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> StrategyInfo:
        """The row of this strategy in the table."""
        return STRATEGIES[self.name]

    @property
    def stratified_module(self) -> StratifiedModule:
        """The Lightning module, as the engine sees it."""
        return as_stratified_module(self.lightning_module, self.name)

    @property
    def plugins(self) -> Plugins:
        """Parameters of one stratum alone. Looked up each time, because FSDP2 replaces the parameters of a module."""
        assert self.lightning_module is not None
        return plugins_of(self.stratified_module, self.lightning_module)

    @property
    def options(self) -> StratifiedOptions:
        """The options, or backdoor adjustment with the default prior."""
        assert self._options is not None, "chosen when the module is connected"
        return self._options

    def connect(self, model: LightningModule) -> None:
        """Take the module, and choose how it will be trained, before anything is wrapped."""
        super().connect(model)
        self._choose(model)

    def _choose(self, model: LightningModule) -> None:
        self._module = module = as_stratified_module(model, self.name)
        if self._options is None:
            self._options = choices.default_options(module, self.name)
        options = self._options
        if len(options.prior_K) != module.num_strata:
            raise UserError(
                f"the prior has {len(options.prior_K)} strata and {type(model).__name__}.num_strata is "
                f"{module.num_strata}; give one share per stratum"
            )
        self.mode = choices.choose_mode(options.mode, options.rule.kind, self.info.modes, self.name)
        coupled = module.couples_rows or any(isinstance(m, _BatchNorm) for m in model.modules())
        obstacle = segments_obstacle(model) if self.info.can_touch_rows else f"strategy {self.name} partitions the parameters"
        pays = not splits_on(model, accelerator=launches_cost(self))
        self.source = choices.choose_source(options.source, coupled=coupled, mode=self.mode, obstacle=obstacle, pays=pays)
        self._why = choices.why_split(options.source, self.source, self.mode, obstacle)

    def refuse(self, model: LightningModule, micro_batches: int) -> None:
        """Refuse impossible combinations. The trainer checks again, but only after a run has written files.

        Args:
            model: what is to be trained.
            micro_batches: to a step.

        Raises:
            UserError: mode, gradient source, rule, plugins or micro-batches do not go together.
        """
        self._choose(model)
        if self.mode == "replay":
            choices.refuse_replay(plugins_of(self._module, model), 1 if self.info.keeps_micro_batches else micro_batches)
        if self.mode == "aligned":
            choices.refuse_scaler(self._scaler)

    def setup(self, trainer: Trainer) -> None:
        """Build the engine over the parameters that Lightning has placed."""
        assert self.lightning_module is not None
        self.refuse(self.lightning_module, trainer.accumulate_grad_batches)
        warn_of_training_step(self.lightning_module, self.name)
        super().setup(trainer)
        options, collectives = self.options, Collectives()
        if self.touched is not None:
            self.touched.join(collectives)
        self.engine = StratifiedEngine(
            rule=options.rule,
            prior_K=options.prior_K,
            collectives=collectives,
            source=SOURCES[self.source],
            store=self.make_store(collectives) if self.needs_store else None,
            seed=options.seed,
            segmented=SegmentedPass(lambda parameters: owners(self.plugins, parameters), self._module.seed_dropout)
            if self.source == "segments"
            else None,
        )
        module = type(self.lightning_module).__name__
        self._accumulation = Accumulation(trainer, strategy=self.info, module=module, num_strata=self._module.num_strata)
        self._modes = {name: GRADIENT_MODES[name](self) for name in self.info.modes}
        if self.mode == "weighted":
            self._correct_plugins()

    def process_dataloader(self, dataloader: object) -> object:
        """Tell a loader that reads ahead how many micro-batches a step has."""
        assert self.lightning_module is not None
        if isinstance(dataloader, StratifiedLoader):
            dataloader.follow(self.lightning_module.trainer)
        return super().process_dataloader(dataloader)

    def _get_process_group_backend(self) -> str:
        """Counts, weights and decisions are CPU tensors, which NCCL alone would not carry."""
        given: str | None = self._process_group_backend  # type: ignore[attr-defined]  # of every parallel strategy
        return given or ("cpu:gloo,cuda:nccl" if self.root_device.type == "cuda" else "gloo")

    @property
    def needs_store(self) -> bool:
        """Whether any step of the run computes per-stratum gradients."""
        if self.mode == "aligned":
            return self.stratified_module.has_plugins
        return self.mode != "weighted" or self.options.probe_interval("weighted") > 0

    def describe(self) -> str:
        """One line for people: what was chosen."""
        return choices.describe(self.options, self.name, self.mode, self.source if self.needs_store else None, self._why)

    def make_store(self, collectives: Collectives) -> Store:
        """The store of per-stratum gradients."""
        module, num_strata = self.lightning_module, self._module.num_strata
        assert module is not None
        aside = self.mode in ("weighted", "replay")
        return make_flat_store(module, self._module.plugin_of, num_strata, collectives, aside=aside, touched=self.touched)

    @property
    def touched(self) -> TouchedTable | None:
        """The table of which a step reads few rows, where the module has one."""
        return touched_of(self.lightning_module)

    def put_back(self, *, summed: bool) -> None:
        """Turn the gradient of a table's touched rows into the table's, once it is complete.

        Args:
            summed: over ranks; else each has its own.
        """
        if self.touched is not None:
            self.touched.publish(average_over=0 if summed else self.gradient_divisor)

    @property
    def gradient_divisor(self) -> int:
        """The divisor of gradients in an ordinary backward pass: 1, or W if the strategy averages over ranks."""
        return 1

    # -- the step ---------------------------------------------------------------------------------------------------------------

    @property
    def step_losses(self) -> SumCount | None:
        """This rank's losses of the accumulation so far."""
        return self.engine.step_losses

    @property
    def report(self) -> StepReport | None:
        """The last accumulation's numbers."""
        return self.engine.report

    def metrics(self) -> dict[str, float]:
        """Telemetry: how often a rule on the Gram matrix had no usable answer so far."""
        rule = self.options.rule
        return {"strata/fallbacks": rule.fallbacks} if rule.kind == "gram" else {}

    def training_step(self, batch: object, *_: Any) -> Tensor:
        """Keep the batch. The returned zero is a placeholder; telemetry has the losses."""
        accumulation, module = self._accumulation, self.lightning_module
        assert module is not None
        if accumulation.size not in (0, module.trainer.accumulate_grad_batches):  # a callback has changed it
            self.refuse(module, module.trainer.accumulate_grad_batches)
        self._batch = accumulation.enter(batch)
        return torch.zeros((), device=self.root_device)

    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        """Compute this micro-batch's gradients. Hooks fire once, whatever the number of passes."""
        module, batch = self.lightning_module, self._batch
        assert module is not None and batch is not None
        self._batch = None
        closure_loss = self.precision_plugin.pre_backward(closure_loss, module)
        if batch.micro == 0:
            self._active = self._modes[self.active_mode()]
            open_touched(module, batch)
        self._active.compute_gradients(batch, self._accumulation.last, optimizer)
        if self._accumulation.last:
            if self.touched is not None:
                self.touched.close()  # of a step that was not taken
            self._accumulation.leave(self.engine.step_losses)
        return self.precision_plugin.post_backward(closure_loss, module)

    def active_mode(self) -> str:
        """The mode of the accumulation that begins: plugins are trained by stratum, whatever the trunk was before they woke."""
        return "per_stratum" if self.mode == "aligned" and self._module.plugins_awake else self.mode

    def probe(self) -> AbstractContextManager[object]:
        """A context for passes that train nothing: buffers are restored after it."""
        assert self.lightning_module is not None
        return gradients.buffers_kept(self.lightning_module)

    def set_last_micro_batch(self, last: bool) -> None:
        """Whether the next ordinary pass completes the accumulation. Most strategies ask Lightning."""

    def with_all_plugins(self, loss: Tensor) -> Tensor:
        """The loss with every plugin in its graph, also those whose strata are absent."""
        return with_all(self.plugins, loss)

    def engine_backward(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        """The backward pass of the Lightning strategy."""
        assert self.lightning_module is not None
        self.precision_plugin.backward(loss, self.lightning_module, optimizer)

    def losses(self, batch: MicroBatch, stratum: int | None) -> ExampleLosses:
        """The module's losses, through whatever wraps it, in the precision context, with dropout keyed."""
        return self._losses(self.model, batch, stratum)

    def bare_losses(self, batch: MicroBatch, part: SubBatchKey) -> ExampleLosses:
        """The module's losses, computed without the wrapper and its hooks."""
        return self._losses(self.lightning_module, batch, part)

    def _losses(self, model: nn.Module | None, batch: MicroBatch, part: SubBatchKey) -> ExampleLosses:
        module = self.lightning_module
        assert module is not None and model is not None
        self._module.seed_dropout(batch, part)
        with self.precision_plugin.train_step_context():
            found: Any = (
                self._module.losses(batch) if model is module else self._forward_redirection(model, module, "losses", batch)
            )
        return self._accumulation.note_losses(found, part)

    def _correct_plugins(self) -> None:
        """Make the w_z G_z of one weighted pass P(z) G_z."""
        correct(self.plugins, self.engine.plugin_factors_K)
