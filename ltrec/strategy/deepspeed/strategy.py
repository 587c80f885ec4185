"""Stratified gradients under DeepSpeed ZeRO 1, 2 and 3.

ZeRO reduces gradients as they appear and keeps a partition of them, so no stratum's gradient can be had from it: the update belongs
to DeepSpeed. `weighted` (linear rules) is one ordinary pass of the weighted loss. `replay` (rules on the Gram matrix) first forms
the strata's gradients past DeepSpeed, on the bare module with `torch.autograd.grad`, for their Gram matrix alone, and then runs the
weighted pass; with several micro-batches it keeps them (they are item ids, small) until the step is complete.

What DeepSpeed would do behind one's back, and is kept from here:

    gradient_clipping defaults to 1.0             it is set from the Trainer, and read back
    engine.backward divides by the accumulation   scale_wrt_gas=False: the loss is normalised over the whole step
    bf16 parameters under bf16-mixed              see `deepspeed_precision`
    a configuration file in the environment       the configuration is made here and nowhere else
    a buffer of 500 million numbers to reduce in   no larger than the model
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.plugins.precision import Precision
from torch import Tensor
from torch.optim import Optimizer

from ltrec.core.errors import UserError, diverged
from ltrec.core.losses import ExampleLosses
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.stores.protocol import Store
from ltrec.distributed.strategies import names_with
from ltrec.strategy.deepspeed import checkpoint as folders
from ltrec.strategy.deepspeed.cpu import AnyDeviceDeepSpeedStrategy
from ltrec.strategy.deepspeed.local_parameters import Zero3Parameters, ZeroParameters
from ltrec.strategy.deepspeed.precision import AutocastPrecision
from ltrec.strategy.deepspeed.whole import whole
from ltrec.strategy.local_parameters import LocalParameters
from ltrec.strategy.stratified import Stratified

_LARGEST_BUCKET = 200_000_000


class _ZeroStrategy(AnyDeviceDeepSpeedStrategy):
    """Lightning's DeepSpeed strategy with a configuration of our own, and whole checkpoints.

    Args:
        stage: 1, 2 or 3.
        zero: more options of DeepSpeed's section `zero_optimization`, under its own names.
        process_group_backend: as everywhere.
    """

    def __init__(self, stage: int, zero: Mapping[str, Any] | None = None, **options: Any) -> None:
        assert stage in (1, 2, 3)
        self.stage_number = stage
        config = {
            "train_micro_batch_size_per_gpu": 1,  # for its own logging only
            "zero_allow_untested_optimizer": True,  # the optimiser is ours
            "zero_force_ds_cpu_optimizer": False,
            "zero_optimization": {"stage": stage, **(zero or {})},
        }
        super().__init__(config=config, **options)

    @property
    def precision_plugin(self) -> Precision:
        """Float32 parameters, with autocast if configured."""
        return super().precision_plugin

    @precision_plugin.setter
    def precision_plugin(self, plugin: Precision | None) -> None:
        self._precision_plugin = plugin and AutocastPrecision(str(plugin.precision), "cpu" if self.on_cpu else "cuda")

    def _format_config(self) -> None:
        """Complete the configuration from the Trainer and the module."""
        assert self.lightning_module is not None and isinstance(self.config, dict)
        assert isinstance(self.precision_plugin, AutocastPrecision)
        self.config |= self.precision_plugin.config()
        super()._format_config()
        self.config["gradient_clipping"] = self.lightning_module.trainer.gradient_clip_val or 0.0
        bucket = min(_LARGEST_BUCKET, sum(p.numel() for p in self.lightning_module.parameters()))
        zero = self.config["zero_optimization"]
        zero |= {"reduce_bucket_size": bucket, **zero}

    def setup(self, trainer: Trainer) -> None:
        """Wrap the module, and read back the engine's settings."""
        super().setup(trainer)
        clipping = self.deepspeed_engine.gradient_clipping()
        assert clipping == (trainer.gradient_clip_val or 0.0), f"DeepSpeed would clip at {clipping}"

    def local_parameters(self) -> LocalParameters:
        """This rank's partitions of the weights."""
        assert self.lightning_module is not None
        return (Zero3Parameters if self.stage_number == 3 else ZeroParameters)(
            self.lightning_module, self.deepspeed_engine.optimizer
        )

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """On the bare module, whole: a rank may have no chunk left while others do."""
        assert self.lightning_module is not None
        with whole(self.lightning_module), self.precision_plugin.val_step_context():
            return self.lightning_module.validation_step(*args, **kwargs)

    # -- checkpoints ------------------------------------------------------------------------------------------------------------

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole model, on rank 0. Every rank must call this."""
        assert self.lightning_module is not None
        with whole(self.lightning_module):
            state = self.lightning_module.state_dict() if self.is_global_zero else {}
            return {name: tensor.detach().clone() for name, tensor in state.items()}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Nothing: DeepSpeed writes it."""
        return {}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any | None = None) -> None:
        """Write a folder."""
        zero = {"stage": self.stage_number, "world_size": self.world_size}
        whole_checkpoint = {key: value for key, value in checkpoint.items() if key != "optimizer_states"} | {"zero": zero}
        folders.save(self.deepspeed_engine, whole_checkpoint, Path(filepath), self.checkpoint_io)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a folder that this stage has written in a world of this size.

        Raises:
            UserError: it was written otherwise, or is damaged.
        """
        checkpoint: dict[str, Any] = self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=True)
        mine, theirs = {"stage": self.stage_number, "world_size": self.world_size}, checkpoint.get("zero")
        if theirs != mine:
            raise UserError(
                f"{checkpoint_path} holds {_partitions(theirs)}, this run needs {_partitions(mine)}; "
                "partitions cannot be redistributed"
            )
        folders.load(self.deepspeed_engine, Path(checkpoint_path), mine)
        return checkpoint


def _partitions(zero: dict[str, int] | None) -> str:
    return "no ZeRO partitions" if zero is None else f"partitions of ZeRO-{zero['stage']} for {zero['world_size']} processes"


class StratifiedDeepSpeedStrategy(Stratified, _ZeroStrategy):
    """Several processes; ZeRO partitions optimiser states (stage 1), gradients (2), parameters (3)."""

    def __init__(self, stage: int, **options: Any) -> None:
        super().__init__(stage=stage, **options)
        [self.name] = names_with(zero_stage=stage)

    @property
    def gradient_divisor(self) -> int:
        """DeepSpeed averages over ranks."""
        return self.world_size

    def make_store(self, collectives: Collectives) -> Store:
        """Lay the rows out while the parameters have their shapes."""
        assert self.lightning_module is not None
        with whole(self.lightning_module):
            return super().make_store(collectives)

    # -- the step ---------------------------------------------------------------------------------------------------------------

    @contextmanager
    def probe(self) -> Iterator[None]:
        """Past DeepSpeed's hooks."""
        assert self.lightning_module is not None
        with whole(self.lightning_module), super().probe():
            yield

    def losses(self, batch: MicroBatch, stratum: int | None) -> ExampleLosses:
        """Through DeepSpeed's engine, whose hooks gather parameters and reduce gradients.

        The engine sees no batch and no integer: its hooks know tensors that carry gradients, and count every other one as work
        that never finishes. It reduces gradients in the order in which they appear, so that order must be the same on every rank,
        also where one lacks a stratum: plugins are touched first in the forward pass, hence they come last in the backward pass.
        """
        module, stratified = self.lightning_module, self.stratified_module
        assert module is not None and self.model is not None
        plugins = [name for name, _ in module.named_parameters() if stratified.plugin_of(name) is not None]
        found: list[ExampleLosses] = []
        plain_forward = module.forward

        def forward() -> Tensor:
            module.forward = plain_forward  # type: ignore[method-assign]
            nothing = sum(module.get_parameter(name).flatten()[:0].sum() for name in plugins)
            example = self._accumulation.note_losses(stratified.losses(batch), stratum)
            found.append(example.detach())
            return example.loss_N + nothing

        stratified.seed_dropout(batch, stratum)
        module.forward = forward  # type: ignore[method-assign]
        with self.precision_plugin.train_step_context():
            loss_N: Tensor = self.model()
        return found[0]._replace(loss_N=loss_N)

    def with_all_plugins(self, loss: Tensor) -> Tensor:
        """Nothing to do: the plugins are in the graph already (see `losses`)."""
        return loss

    def engine_backward(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        """The loss is normalised over the step already."""
        self.deepspeed_engine.backward(loss, scale_wrt_gas=False)

    def set_last_micro_batch(self, last: bool) -> None:
        """DeepSpeed counts passes, and would take a probe for one."""
        self.deepspeed_engine.set_gradient_accumulation_boundary(last)

    def metrics(self) -> dict[str, float]:
        """And the norm of the last gradient, which only DeepSpeed has seen."""
        norm = self.deepspeed_engine.get_global_grad_norm()
        return super().metrics() | ({} if norm is None else {"grad_norm": float(norm)})

    # -- gradients that are not finite --------------------------------------------------------------------------------------------

    def gradient_norm(self) -> None:
        """Not known before the step: see `optimizer_step`."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> Any:
        """Step. DeepSpeed leaves the step out, on all ranks, when the reduced gradient is not finite: parameters and moments stay.

        Raises:
            UserError: it did, and the policy is `stop`.
        """
        assert self.lightning_module is not None
        left_out = self.deepspeed_engine.skipped_steps
        result = super().optimizer_step(*args, **kwargs)
        if self.deepspeed_engine.skipped_steps > left_out:
            self.engine.report = None
            if self.options.nonfinite == "stop":
                raise diverged("the gradient is not a finite number", self.lightning_module.trainer.global_step + 1)
        return result

    def discard_gradients(self) -> None:
        """Nothing to do where a gradient is not finite: DeepSpeed handles that in its step.

        Raises:
            UserError: there is no example at all.
        """
        if self.engine.is_empty():
            raise UserError(
                f"a step of strategy {self.name} had no example in any stratum, and DeepSpeed leaves no step out; give "
                f"every step a row "
                "whose stratum is not -1"
            )
