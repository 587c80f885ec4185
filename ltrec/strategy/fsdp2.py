"""Stratified gradients over parameters sharded by FSDP2: parameters, gradients, rows and optimiser states, 1/W of each per rank.

`per_stratum` is native: FSDP2 reduce-scatters each stratum's backward pass, and the update is combined on the partitions.
`weighted` is one ordinary pass; over several micro-batches each rank adds up its own gradient and the last pass sums. In both, the
parameters are gathered once per step.

Lightning's ModelParallelStrategy would have the module call `fully_shard` in `configure_model`. Here the strategy does it: a module
need not know how it is trained. Checkpoints are whole and single files, as without sharding, written and read by the trainer's
CheckpointIO.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, nn
from torch.optim import Optimizer

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.fsdp2.full_state import shard_model_state, shard_optimizer_state, whole
from ltrec.distributed.fsdp2.sharded_module import ShardedModule
from ltrec.distributed.stores.sharded import ShardedStore
from ltrec.strategy.local_parameters import LocalParameters, ShardedParameters
from ltrec.strategy.stratified import Stratified

_READ_PARAMETERS = ("losses", "validation_step", "test_step", "predict_step")  # methods of a module


class _FullyShardedStrategy(ModelParallelStrategy):
    """FSDP2 over all ranks, with whole checkpoints.

    Attributes:
        sharded: the module once it is set up.
    """

    sharded: ShardedModule

    def __init__(self, **options: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, **options)

    def setup_environment(self) -> None:
        """Use all ranks for data parallelism."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    def setup(self, trainer: Trainer) -> None:
        """Set up in the ordinary order: place, partition, make optimisers."""
        Strategy.setup(self, trainer)

    def _setup_model(self, model: nn.Module) -> nn.Module:
        mesh = self.device_mesh["data_parallel"]
        self.sharded = ShardedModule(model, mesh, Collectives(), forwards=_READ_PARAMETERS)
        return model

    def local_parameters(self) -> LocalParameters:
        """This rank's partitions of the weights."""
        return ShardedParameters(self.sharded, self.optimizers)

    def on_validation_end(self) -> None:
        """Release the parameters that validation has gathered."""
        self.sharded.reshard()

    # -- checkpoints ------------------------------------------------------------------------------------------------------------

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning passes loaded states to the optimisers: yes."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole model, on rank 0."""
        assert self.lightning_module is not None
        state: dict[str, Any] = whole(self.lightning_module.state_dict(), keep=self.is_global_zero)
        return state

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole optimiser, on rank 0."""
        inner = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        state: dict[str, Any] = whole(inner.state_dict(), keep=self.is_global_zero)
        return state

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any | None = None) -> None:
        """Write one file, on rank 0."""
        Strategy.save_checkpoint(self, checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read one file, on every rank."""
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Cut the whole model to partitions."""
        module = self.lightning_module
        assert module is not None
        module.load_state_dict(shard_model_state(checkpoint["state_dict"], module.state_dict()), strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Cut the whole optimisers to partitions."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(shard_optimizer_state(state, optimizer))


class StratifiedFSDP2Strategy(Stratified, _FullyShardedStrategy):
    """Several processes with 1/W of every parameter each."""

    name = "stratified_fsdp2"

    def setup(self, trainer: Trainer) -> None:
        """Count FSDP2's own traffic with the engine's."""
        super().setup(trainer)
        self.sharded.count_into(self.engine.collectives)

    def make_store(self, collectives: Collectives) -> ShardedStore:
        """A store of partitions."""
        return ShardedStore(self.sharded, self.stratified_module.plugin_of, self.stratified_module.num_strata)

    def discard_gradients(self) -> None:
        """Drop all gradients, so that the optimiser does nothing."""
        self.sharded.clear()
        self.sharded.reshard()

    def set_last_micro_batch(self, last: bool) -> None:
        """Keep it for the next backward pass."""
        self._last = last

    def engine_backward(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        """FSDP2's own pass. A probe must not find gradients that are not summed yet, so with probes every pass sums."""
        self.sharded.sum_next(self._last or self.needs_store)
        super().engine_backward(loss, optimizer)
        if self._last:
            self.sharded.reshard()
            self._weigh_plugins()

    def _correct_plugins(self) -> None:
        """Not as gradients appear: FSDP2 calls no hook of a sharded parameter."""

    def _weigh_plugins(self) -> None:
        """Turn plugins' w_z G_z into P(z) G_z."""
        for name, parameter in self.sharded.parameters:
            stratum = self.stratified_module.plugin_of(name)
            if stratum is not None and parameter.grad is not None:
                parameter.grad.mul_(self.engine.plugin_factors_K()[stratum])
