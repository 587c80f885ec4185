"""Stratified: the mixin that makes a Lightning strategy form its gradients by stratum. Automatic optimisation stays.

    Lightning                          here
    strategy.training_step(batch)      keep the batch, return a zero
    optimizer.zero_grad                (Lightning's own)
    strategy.backward(zero)            hooks once; form gradients by mode (`modes`), stage.losses in the precision context
    unscale, hooks, clip, step         (Lightning's own, on the combined gradient)

So clipping, accumulation, AMP, hooks, schedulers and progress work as ever, and act after combining.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import diverged
from ltrec.core.losses import ExampleLosses, SubBatchKey
from ltrec.core.sumcount import SumCount
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.report import StepReport
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.flat import FlatStore
from ltrec.distributed.stores.layout import lay_out
from ltrec.distributed.stores.protocol import Store
from ltrec.distributed.strategies import STRATEGIES, StrategyInfo
from ltrec.strategy import gradients
from ltrec.strategy import options as choices
from ltrec.strategy.buffers import buffers_kept
from ltrec.strategy.modes import GRADIENT_MODES
from ltrec.strategy.module import StratifiedModule, as_stage
from ltrec.strategy.options import StratifiedOptions
from ltrec.strategy.plugins import Plugins, correct, plugins_of, with_all
from ltrec.strategy.protocols import GradientMode


class Stratified(Strategy):
    """To be listed before the Lightning strategy that it changes.

    Attributes:
        name: its row in `ltrec.distributed.strategies`.
        mode, source: chosen when the module is connected.
        engine: built at setup.
    """

    name = "stratified"

    mode: str
    source: str
    engine: StratifiedEngine
    _modes: dict[str, GradientMode]
    _active: GradientMode
    _checked_stage: StratifiedModule  # asked in every pass, where probe for every attribute again takes its time

    def __init__(self, *args: Any, options: StratifiedOptions | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._options = options
        self._batch: SequenceBatch | None = None

    # -- setup ------------------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> StrategyInfo:
        """What this strategy can do."""
        return STRATEGIES[self.name]

    @property
    def stage(self) -> StratifiedModule:
        """The Lightning module, as the engine sees it."""
        return as_stage(self.lightning_module, self.name)

    @property
    def plugins(self) -> Plugins:
        """Parameters of one stratum alone. Asked anew each time: FSDP2 changes the parameters that a module holds."""
        assert self.lightning_module is not None
        return plugins_of(self.stage, self.lightning_module)

    @property
    def options(self) -> StratifiedOptions:
        """What the user said, or backdoor adjustment with a uniform prior."""
        assert self._options is not None, "settled when the module is connected"
        return self._options

    def connect(self, model: LightningModule) -> None:
        """Take the module, and settle how it will be trained, before anything is wrapped."""
        super().connect(model)
        self._settle(model)

    def _settle(self, model: LightningModule) -> None:
        self._checked_stage = stage = as_stage(model, self.name)
        if self._options is None:
            self._options = choices.default_options(stage.num_strata)
        options = self._options
        self.mode = choices.choose_mode(options.mode, options.rule.kind, self.info.modes, self.name)
        coupled = stage.couples_rows or any(isinstance(m, _BatchNorm) for m in model.modules())
        self.source = choices.choose_source(options.source, coupled=coupled, mode=self.mode)

    def refuse(self, model: LightningModule, micro_batches: int) -> None:
        """Refuse what cannot work. A trainer asks too, but by then a run has left its traces.

        Args:
            model: what is to be trained.
            micro_batches: to a step.

        Raises:
            UserError: mode, gradient source, rule, plugins or micro-batches do not go together.
        """
        self._settle(model)
        if self.mode == "replay":
            choices.refuse_replay(plugins_of(self._checked_stage, model), 1 if self.info.keeps_micro_batches else micro_batches)
        if self.mode == "aligned":
            choices.refuse_scaler(self._scaler)

    def setup(self, trainer: Trainer) -> None:
        """Build the engine over the parameters that Lightning has placed."""
        assert self.lightning_module is not None
        self.refuse(self.lightning_module, trainer.accumulate_grad_batches)
        super().setup(trainer)
        options, collectives = self.options, Collectives()
        self.engine = StratifiedEngine(
            rule=options.rule,
            prior_K=options.prior_K,
            collectives=collectives,
            source=SOURCES[self.source],
            store=self.make_store(collectives) if self.needs_store else None,
            seed=options.seed,
        )
        self._modes = {name: GRADIENT_MODES[name](self) for name in self.info.modes}
        if self.mode == "weighted":
            self._correct_plugins()

    @property
    def needs_store(self) -> bool:
        """Whether any step of the run forms per-stratum gradients."""
        if self.mode == "aligned":
            return self.stage.has_plugins
        return self.mode != "weighted" or self.options.probe_interval("weighted") > 0

    def describe(self) -> str:
        """One line for people: what was chosen."""
        return choices.describe(self.options, self.name, self.mode, self.source if self.needs_store else None)

    def make_store(self, collectives: Collectives) -> Store:
        """Where per-stratum gradients live."""
        module = self.lightning_module
        assert module is not None
        layout, ordered = lay_out(
            list(module.named_parameters()), self.stage.plugin_of, self.stage.num_strata, collectives.world.size
        )
        return FlatStore(ordered, layout, collectives, self.stage.num_strata, aside=self.mode in ("weighted", "replay"))

    @property
    def gradient_divisor(self) -> int:
        """What the stack divides the gradients of an ordinary backward pass by."""
        return 1

    # -- the step ---------------------------------------------------------------------------------------------------------------

    @property
    def step_losses(self) -> SumCount | None:
        """This rank's losses of the window so far."""
        return self.engine.step_losses

    @property
    def report(self) -> StepReport | None:
        """The last window's numbers."""
        return self.engine.report

    def metrics(self) -> dict[str, float]:
        """For telemetry: how often a rule on the Gram matrix had no usable answer so far."""
        rule = self.options.rule
        return {"strata/fallbacks": rule.fallbacks} if rule.kind == "gram" else {}

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Keep the batch. The zero stands for a loss: real ones come from telemetry."""
        self._batch = batch
        return torch.zeros((), device=self.root_device)

    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        """Form this micro-batch's gradients. Hooks fire once, whatever the number of passes."""
        module, batch = self.lightning_module, self._batch
        assert module is not None and batch is not None
        self._batch = None
        closure_loss = self.precision_plugin.pre_backward(closure_loss, module)
        last = batch.micro + 1 == module.trainer.accumulate_grad_batches
        if batch.micro == 0:
            self._active = self._modes[self.active_mode()]
        self._active.compute_gradients(batch, last, optimizer)
        return self.precision_plugin.post_backward(closure_loss, module)

    def active_mode(self) -> str:
        """The mode of the window that begins: plugins are trained by stratum, whatever the trunk was before they woke."""
        return "per_stratum" if self.mode == "aligned" and self._checked_stage.plugins_awake else self.mode

    def probe(self) -> AbstractContextManager[object]:
        """For passes that train nothing: buffers are as before afterwards."""
        assert self.lightning_module is not None
        return buffers_kept(self.lightning_module)

    def set_last_micro_batch(self, last: bool) -> None:
        """Whether the next ordinary pass completes the window. Most stacks ask Lightning."""

    def with_all_plugins(self, loss: Tensor) -> Tensor:
        """The loss with every plugin in its graph, also those whose strata are absent."""
        return with_all(self.plugins, loss)

    def engine_backward(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        """The stack's own backward pass."""
        assert self.lightning_module is not None
        self.precision_plugin.backward(loss, self.lightning_module, optimizer)

    def losses(self, batch: SequenceBatch, stratum: int | None) -> ExampleLosses:
        """The stage's losses, through whatever wraps it, in the precision context, with dropout keyed."""
        return self._losses(self.model, batch, stratum)

    def bare_losses(self, batch: SequenceBatch, part: SubBatchKey) -> ExampleLosses:
        """The same past the wrapper, whose hooks must not notice."""
        return self._losses(self.lightning_module, batch, part)

    def _losses(self, model: nn.Module | None, batch: SequenceBatch, part: SubBatchKey) -> ExampleLosses:
        module, stage = self.lightning_module, self._checked_stage
        assert module is not None and model is not None
        stage.seed_dropout(batch, part)
        with self.precision_plugin.train_step_context():
            if model is module:
                return stage.losses(batch)
            return ExampleLosses(*self._forward_redirection(model, module, "losses", batch))  # type: ignore[misc]

    def finish_step(self, step: int, *, checked: bool) -> None:
        """The window's gradient is formed: show its losses to a rule that watches them, and see that there is a step to take.

        Args:
            step: the window's.
            checked: whether the gradient is known to be finite.
        """
        rule = self.options.rule
        if self.engine.is_empty:
            self.skip_step()
        elif not checked or (rule.kind == "linear" and rule.watches_losses):
            losses = self.engine.total_losses()
            finite = bool(losses.sum_K.isfinite().all()) and (checked or self.gradients_finite())
            if finite:
                self.engine.observe(losses)
            elif not checked:
                self.on_nonfinite(step)

    def gradients_finite(self) -> bool:
        """Whether the reduced gradients are finite; equal on every rank, because they are."""
        assert self.lightning_module is not None
        return gradients.all_finite(self.lightning_module)

    def on_nonfinite(self, step: int) -> None:
        """Do what was asked for; every rank gets here together. The window then has no report.

        Raises:
            UserError: policy `stop`.
        """
        self.engine.report = None
        if self._scaler is None and self.options.nonfinite == "stop":
            raise diverged("a stratum's gradient is not a finite number", step + 1)
        self.skip_step()

    def skip_step(self) -> None:
        """Leave parameters and the optimiser's state as they are, on every rank. A scaler skips by itself, and halves its scale."""
        assert self.lightning_module is not None
        self.discard_gradients()
        if self._scaler is not None:
            gradients.spoil(self.lightning_module)

    def discard_gradients(self) -> None:
        """Leave the optimiser nothing to do."""
        assert self.lightning_module is not None
        gradients.discard(self.lightning_module)

    @property
    def _scaler(self) -> torch.amp.GradScaler | None:
        return getattr(self.precision_plugin, "scaler", None)

    @property
    def scaling(self) -> float:
        """What the scaler multiplies losses by at the moment."""
        return 1.0 if self._scaler is None else self._scaler.get_scale()

    def scale(self, loss: Tensor) -> Tensor:
        """The loss as the scaler wants it back-propagated."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def _correct_plugins(self) -> None:
        """Make the w_z G_z of one weighted pass P(z) G_z."""
        correct(self.plugins, self.engine.plugin_factors_K)
