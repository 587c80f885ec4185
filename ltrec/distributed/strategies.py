"""The strategies: one row each, read by the configuration, the composition root, the checks of both, and Lightning's registry.

Plain data: neither Lightning nor DeepSpeed is imported before a strategy is made (`ltrec.strategy.make_strategy`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StrategyInfo:
    """Properties of a strategy. Code checks these attributes, never a part of the name.

    Attributes:
        name: key in the table.
        summary: one line for people.
        import_path: `module:class`, with the arguments `options` below.
        modes: gradient modes that it offers, the preferred one first; none for joint training.
        whole_gradients: whether every process holds every gradient whole (a loss scaler, hence 16-mixed, needs that).
        optimizer_copies: whether the optimiser steps on copies of the parameters, which do not see a write to the module.
        gathers_by_module: whether a forward pass gathers parameters module by module, so that all processes must run the same ones.
        zero_stage: DeepSpeed's ZeRO stage; None elsewhere. Optimiser states then lie in DeepSpeed's own files.
        keeps_micro_batches: whether mode replay may keep the micro-batches of an accumulation until its Gram matrix is known.
        one_process: whether it trains in a single process.
        ends_accumulations_early: whether the last step of an epoch may see fewer micro-batches than the others.
        can_touch_rows: whether a step may compute gradients of few rows of a table and leave the rest alone (`touched_table`).
        several_processes: name of the strategy that takes its place in several processes.
    """

    name: str
    summary: str
    import_path: str
    modes: tuple[str, ...] = ()
    whole_gradients: bool = True
    optimizer_copies: bool = False
    gathers_by_module: bool = False
    zero_stage: int | None = None
    keeps_micro_batches: bool = False
    one_process: bool = False
    ends_accumulations_early: bool = True
    can_touch_rows: bool = True
    several_processes: str | None = None

    @property
    def is_stratified(self) -> bool:
        """Whether gradients are computed by stratum; joint training follows the mean of all losses."""
        return bool(self.modes)


MODES = ("per_stratum", "weighted", "replay", "aligned")
"""Every gradient mode (`ltrec.strategy.modes.table`)."""


def _zero(stage: int, partitions: str) -> StrategyInfo:
    return StrategyInfo(
        f"stratified_deepspeed_stage_{stage}",
        f"several processes, DeepSpeed ZeRO-{stage}: {partitions} sharded",
        "ltrec.strategy.deepspeed.strategy:StratifiedDeepSpeedStrategy",
        modes=("weighted", "replay"),
        whole_gradients=False,
        optimizer_copies=True,
        gathers_by_module=stage == 3,
        zero_stage=stage,
        keeps_micro_batches=True,
        ends_accumulations_early=False,
        can_touch_rows=False,
    )


JOINT = "joint"
"""The mean over all targets, by Lightning's own strategies."""

STRATIFIED = "stratified"
"""By stratum on one device; with what the processes share behind an underscore, on several."""

_ROWS = (
    StrategyInfo(
        JOINT, "the mean over all targets; one process, or DDP", "pytorch_lightning.strategies:DDPStrategy", one_process=True
    ),
    StrategyInfo(
        STRATIFIED,
        "one device",
        "ltrec.strategy.single:StratifiedSingleDeviceStrategy",
        modes=MODES,
        one_process=True,
        several_processes="stratified_ddp",
    ),
    StrategyInfo(
        "stratified_ddp", "several processes, replicated parameters", "ltrec.strategy.ddp:StratifiedDDPStrategy", modes=MODES
    ),
    _zero(1, "optimiser states"),
    _zero(2, "optimiser states and gradients"),
    _zero(3, "optimiser states, gradients and parameters"),
    StrategyInfo(
        "stratified_fsdp2",
        "several processes, parameters sharded by FSDP2",
        "ltrec.strategy.fsdp2:StratifiedFSDP2Strategy",
        modes=("per_stratum", "weighted"),
        whole_gradients=False,
        can_touch_rows=False,
    ),
)

STRATEGIES: dict[str, StrategyInfo] = {info.name: info for info in _ROWS}
"""name -> strategy."""


def names_with(**attributes: object) -> tuple[str, ...]:
    """Names of the strategies whose attributes have these values, in the table's order."""
    return tuple(name for name, info in STRATEGIES.items() if all(getattr(info, key) == value for key, value in attributes.items()))
