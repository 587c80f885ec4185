"""One of the processes of `stratified_step.py`: train a few steps in every mode, in turns, and count and time them.

A *cell* is one data set (a number of strata) with one catalogue. In it every mode trains the same model on the same batches,
through the Lightning trainer and the strategies that `ltrec train` builds; `joint` is Lightning's own DDP.

    counting     a few steps under a FLOP counter; bytes that a ring would send, DDP's own from a hook on its buckets. `per_stratum`
                 gets its share of a probe, which comes less often than that
    timing       rounds; in a round the modes take turns, each trains the same batches from the start. A step lasts from the end of
                 the step before it to its own end, so waiting for the other process is in it
"""

from __future__ import annotations

import dataclasses
import gc
import json
import logging
import os
import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from flops import Flops
from pytorch_lightning.strategies import Strategy
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.batch import SequenceBatch
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.distributed.stores.flat import FlatStore
from ltrec.run.build.components import Data, build_plan, open_data
from ltrec.run.build.strategies import build_strategy, build_stratified_options
from ltrec.run.build.training import build_module
from ltrec.run.process.rendezvous_env import Processes
from ltrec.strategy import Stratified
from ltrec.strategy.options import PROBE_EVERY
from ltrec.training.module import BackboneModule

WORLD = 2
WARM = 3
"""Steps of a turn that are not timed: DDP lays out its buckets after the first, and memory is touched for the first time."""

_STRATIFIED = (
    "gradients.name=stratified",
    "strategy.name=ddp",
)
MODES: dict[str, tuple[str, ...]] = {
    "joint": ("gradients.name=joint",),
    "weighted": (*_STRATIFIED, "gradients.mode=weighted"),
    "weighted+probe": (*_STRATIFIED, "gradients.mode=weighted", "gradients.probe_every_steps=1"),
    "per_stratum": (*_STRATIFIED, "gradients.mode=per_stratum"),
    "per_stratum+probe": (*_STRATIFIED, "gradients.mode=per_stratum", "gradients.probe_every_steps=1"),
    "per_stratum/upgrad": (*_STRATIFIED, "gradients.mode=per_stratum", "gradients.rule.name=upgrad"),
    "replay/upgrad": (*_STRATIFIED, "gradients.mode=replay", "gradients.rule.name=upgrad"),
}
"""name -> words of the command line. The rule is backdoor unless it is named."""


@dataclass(frozen=True)
class Cell:
    """What to measure.

    Attributes:
        data: the prepared data set.
        items: size of the catalogue; what it has beyond the data set's items has no events. 0 = the data set's own.
        words: settings that differ from the quick start's.
        steps: timed steps of a turn.
        rounds: turns of every mode.
    """

    data: str
    items: int
    words: tuple[str, ...]
    steps: int
    rounds: int


def work(rank: int, rendezvous: str, config: str, cells: Sequence[Cell], out: str) -> None:
    """The life of one process: measure every cell; rank 0 writes the list of results to `out`."""
    os.environ["LOCAL_RANK"] = str(rank)  # Lightning then knows that it need not start processes itself
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=WORLD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [Bench(config, cell).measure(say=rank == 0) for cell in cells]
    if rank == 0:
        Path(out).write_text(json.dumps(results))
    dist.barrier()
    dist.destroy_process_group()


class Bench:
    """One cell in one process."""

    def __init__(self, config: str, cell: Cell) -> None:
        self.cell = cell
        base = (f"data.path={cell.data}", "trainer.accelerator=cpu", *cell.words)
        self.configs = {mode: load([config], [*base, *words]) for mode, words in MODES.items()}
        some = self.configs["joint"]
        self.data = padded(open_data(some), cell.items) if cell.items else open_data(some)
        self.num_strata, self.num_items = self.data.manifest.strata.count, self.data.manifest.vocab.items
        self.plan = build_plan(some, self.data)
        self.batches = list(islice(stream(self.data, self.plan), WARM + cell.steps))

    def measure(self, say: bool) -> dict[str, Any]:
        """Figures of every mode, equal on all ranks but for times, which are rank 0's."""
        counts = with_probes({mode: self.count(mode) for mode in MODES})
        turns: dict[str, list[Turn]] = {mode: [] for mode in MODES}
        for number in range(self.cell.rounds):
            names = list(MODES)[number % len(MODES) :] + list(MODES)[: number % len(MODES)]
            for mode in names:
                turns[mode].append(self.turn(mode))
            if say:
                latest = "  ".join(f"{mode} {1e3 * statistics.median(turns[mode][-1].wall):.1f}" for mode in MODES)
                print(f"K={self.num_strata} items={self.num_items} round {number + 1}: ms  {latest}", flush=True)
        joint = turns["joint"]
        targets = sum(int(total(b.step_counts_K.sum())) for b in self.batches) / len(self.batches)
        return {
            "strata": self.num_strata,
            "items": self.num_items,
            "padded": self.cell.items > 0,
            "targets_per_step": round(targets),
            "objective": self.configs["joint"].objective.name,
            "busy": busy(joint),
            "modes": {mode: counts[mode] | times(turns[mode], joint) for mode in MODES},
        }

    def count(self, mode: str) -> dict[str, float]:
        """FLOPs (all ranks), bytes sent (per rank) and buffers (per rank) of an average step."""
        steps, ddp, strategy = self.batches[:WARM], BucketBytes(), self.strategy(mode)
        with Flops() as counter:
            module = self.fit(strategy, mode, steps, ddp)
        sent, buffers = ddp.sent, 0
        if isinstance(strategy, Stratified):
            sent += sum(strategy.engine.collectives.sent.values())
            buffers = strategy.engine.store.extra_bytes if isinstance(strategy.engine.store, FlatStore) else 0
        elif module.touched is not None:
            sent += sum(module.touched.collectives.sent.values())
        flops = float(total(torch.tensor(counter.total, dtype=torch.float64)))
        gradient = sum(p.nbytes for p in module.parameters() if p.requires_grad)
        return {"flops": flops / len(steps), "bytes": sent / len(steps), "buffers": buffers, "gradient": gradient}

    def turn(self, mode: str) -> Turn:
        """Train all batches and time those after the warm-up."""
        watch = Stopwatch()
        self.fit(self.strategy(mode), mode, self.batches, watch)
        gc.collect()
        return watch.turn()

    def strategy(self, mode: str) -> Strategy:
        """What `ltrec train` would build."""
        config = self.configs[mode]
        built = build_strategy(
            config, Processes(here(), WORLD, here().rank), "cpu", build_stratified_options(config, self.data, self.plan)
        )
        assert isinstance(built, Strategy)
        return built

    def fit(self, strategy: Strategy, mode: str, batches: list[SequenceBatch], callback: pl.Callback) -> BackboneModule:
        """Train a fresh model on the batches."""
        config: RunConfig = self.configs[mode]
        stage = build_module(config, self.data, self.plan)
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=WORLD,
            strategy=strategy,
            max_steps=len(batches),
            limit_val_batches=0,
            use_distributed_sampler=False,
            logger=False,
            callbacks=[callback],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(stage, train_dataloaders=DataLoader(batches, batch_size=None))  # type: ignore[arg-type]  # a list is a data set
        return stage


def with_probes(counts: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """An average step of `per_stratum` holds a part of a probe, of which the few counted steps saw none."""
    every, plain, probed = PROBE_EVERY["per_stratum"], counts["per_stratum"], counts["per_stratum+probe"]
    assert every > WARM
    spread = {key: plain[key] + (probed[key] - plain[key]) / every for key in ("flops", "bytes")}
    return counts | {"per_stratum": plain | spread}


def padded(data: Data, items: int) -> Data:
    """The data set with a catalogue of `items`, the new ones without events."""
    vocab, vocabulary = data.manifest.vocab, data.vocabulary
    more = items - vocab.items
    manifest = dataclasses.replace(data.manifest, vocab=dataclasses.replace(vocab, items=items))
    count = torch.cat([vocabulary.train_count, torch.zeros(more, dtype=torch.int64)])
    return Data(data.folder, manifest, dataclasses.replace(vocabulary, train_count=count))


def stream(data: Data, plan: Plan) -> Iterator[SequenceBatch]:
    """This rank's batches, epoch after epoch."""
    loader = StreamLoader(data.folder, data.manifest, plan, world=here())
    while True:
        for batch in loader:
            yield batch
            loader.advance(batch.step)


def here() -> World:
    """This process among all."""
    return World(dist.get_rank(), WORLD)


def total(number: Tensor) -> Tensor:
    """Sum over ranks."""
    dist.all_reduce(number)
    return number


class BucketBytes(pl.Callback):
    """What a ring would send for DDP's buckets: 2 (W - 1) / W bytes per byte of gradient."""

    def __init__(self) -> None:
        self.sent = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hang on to DDP's reducer, if there is one."""
        del pl_module
        if isinstance(trainer.strategy.model, DistributedDataParallel):
            hook = lambda _, bucket: self._reduce(bucket)  # noqa: E731 - torch would read annotations and stumble over their text
            trainer.strategy.model.register_comm_hook(None, hook)

    def _reduce(self, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        self.sent += 2 * bucket.buffer().nbytes * (WORLD - 1) // WORLD
        return allreduce_hook(dist.group.WORLD, bucket)


@dataclass(frozen=True)
class Turn:
    """Seconds of every timed step: on the clock, and of this rank's processor."""

    wall: list[float]
    processor: list[float]


class Stopwatch(pl.Callback):
    """Notes when steps end."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """The optimiser has stepped."""
        self.ends.append((time.perf_counter(), time.process_time()))

    def turn(self) -> Turn:
        """Steps after the warm-up."""
        ends = self.ends[WARM - 1 :]
        wall, processor = ([b[i] - a[i] for a, b in pairwise(ends)] for i in (0, 1))
        return Turn(wall, processor)


def times(turns: Sequence[Turn], joint: Sequence[Turn]) -> dict[str, float]:
    """Median step, median ratio to the same step of joint training in the same round, and the ratio of least processor times."""
    pairs = list(zip(turns, joint, strict=True))
    return {
        "step_s": statistics.median(second for turn in turns for second in turn.wall),
        "time_ratio": statistics.median(a / b for mine, theirs in pairs for a, b in zip(mine.wall, theirs.wall, strict=True)),
        "processor_ratio": least_processor(turns) / least_processor(joint),
    }


def least_processor(turns: Sequence[Turn]) -> float:
    """Processor seconds of all timed steps, each at its least over the rounds: what other work takes from caches is left out."""
    return sum(min(step) for step in zip(*(turn.processor for turn in turns), strict=True))


def busy(turns: Sequence[Turn]) -> float:
    """Slowest over fastest turn."""
    medians = [statistics.median(turn.wall) for turn in turns]
    return max(medians) / min(medians)
