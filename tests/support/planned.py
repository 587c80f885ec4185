"""Steps of a run as `ltrec train` builds it, watched while they happen, for comparison with what was planned on paper."""

from __future__ import annotations

import warnings
from itertools import islice

import pytorch_lightning as pl
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.strategies import build_strategy, build_stratified_options
from ltrec.run.build.training import build_module
from ltrec.run.process.rendezvous_env import Processes

ALONE = World()


def take_steps(config, watch, *, world=ALONE, steps=4):
    """Train a fresh model for a few steps; returns module and trainer."""
    data = open_data(config)
    plan = build_plan(config, data)
    module = build_module(config, data, plan)
    loader = StreamLoader(data.folder, data.manifest, plan, world=world, accumulate=config.trainer.accumulate)
    batches = list(islice(loader, steps * config.trainer.accumulate))
    strategy = build_strategy(config, Processes(world, world.size, world.rank), "cpu", build_stratified_options(config, data, plan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=world.size,
            strategy=strategy,
            max_steps=steps,
            accumulate_grad_batches=config.trainer.accumulate,
            limit_val_batches=0,
            use_distributed_sampler=False,
            logger=False,
            callbacks=[watch],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(module, train_dataloaders=DataLoader(batches, batch_size=None))
    return module, trainer


class DdpBytes(pl.Callback):
    """What a ring sends for DDP's buckets."""

    def __init__(self):
        self.sent = 0

    def on_train_start(self, trainer, pl_module):
        """Hang on to DDP's reducer, if there is one."""
        if isinstance(trainer.strategy.model, DistributedDataParallel):
            trainer.strategy.model.register_comm_hook(None, lambda _, bucket: self._reduce(bucket))

    def _reduce(self, bucket):
        world = dist.get_world_size()
        self.sent += 2 * bucket.buffer().nbytes * (world - 1) // world
        return allreduce_hook(dist.group.WORLD, bucket)
