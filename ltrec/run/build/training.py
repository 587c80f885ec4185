"""What Lightning trains: the module and its data, from a RunConfig and World."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ltrec.config.tree import RunConfig
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.models.plugins.switch_config import SwitchConfig
from ltrec.optim.build import optimizer_for
from ltrec.optim.schedule import schedule
from ltrec.run.build.components import (
    Data,
    build_adversary,
    build_backbone,
    build_histories,
    build_position_losses,
    build_validator,
    projected,
    quarantine_of,
    total_steps,
)
from ltrec.run.build.touched import choose_rows
from ltrec.training.datamodule import StreamDataModule
from ltrec.training.module import BackboneModule


def build_module(config: RunConfig, data: Data, plan: Plan) -> BackboneModule:
    """The Lightning module."""
    optim, switch = config.optim, config.switch or SwitchConfig()
    rate = schedule(
        optim.schedule, warmup_steps=optim.warmup_steps, total_steps=total_steps(config, plan), final_ratio=optim.final_ratio
    )
    backbone, losses = build_backbone(config, data), build_position_losses(config, data.vocabulary)
    touched, about_rows = choose_rows(config, plan, backbone, losses.objective, data.vocabulary.train_count)
    return BackboneModule(
        backbone,
        losses,
        adversary=build_adversary(config, data.manifest, backbone),
        unit=config.stream.unit,
        num_strata=plan.strata.count,
        seed=config.seed,
        make_optimizer=optimizer_of(config),
        rate=rate,
        trunk_rate=switch.trunk_rate,
        plugin_rate=switch.plugin_rate,
        validator=build_validator(config, data),
        touched=touched,
        about_rows=about_rows,
    )


def optimizer_of(config: RunConfig) -> Callable[[BackboneModule], torch.optim.Optimizer]:
    """Module -> the run's optimiser, over the module's groups of parameters."""
    return lambda module: optimizer_for(module, config.optim, module.group_of)


def build_datamodule(config: RunConfig, data: Data, plan: Plan, world: World) -> StreamDataModule:
    """The data module of one process among all."""
    quarantine = quarantine_of(config, data.manifest, world)
    loader = StreamLoader(
        data.folder,
        data.manifest,
        plan,
        world=world,
        accumulate=config.trainer.accumulate,
        prefetch=config.stream.prefetch,
        threads=config.stream.threads,
        memory_mib=config.stream.memory_mib,
        check=config.stream.check,
        columns=projected(config, data.manifest),
        pin=config.trainer.accelerator != "cpu" and torch.cuda.is_available(),
        quarantine=quarantine,
    )
    return StreamDataModule(loader, build_histories(config, data, "valid", quarantine))
