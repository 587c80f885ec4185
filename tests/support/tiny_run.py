"""A training run of seconds: 90 users, 30 items, a model of width 8, four steps an epoch."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ltrec.config.load import load
from ltrec.tracking.keys import CLOCKS
from ltrec.training.checkpoints.io import read_checkpoint
from tests.support.shards import random_users, write_dataset

STEPS_PER_EPOCH = 4


def tiny_data(folder: Path, *, seed: int = 0) -> Path:
    """Write the data set."""
    manifest = write_dataset(folder, random_users([40, 30, 20], num_items=30, longest=8, seed=seed), num_items=30)
    assert manifest.train_rows == 90
    return folder


def tiny_words(data: Path, out: Path, *more: str) -> list[str]:
    """The run as words of the command line; later words win."""
    return [
        f"data.path={data}",
        f"out={out}",
        "name=r",
        "stream.batch_rows=24",
        "stream.lanes=24",
        "stream.max_len=6",
        "stream.window=random",
        "model.width=8",
        "model.heads=1",
        "model.dropout=0.3",
        "objective.negatives=8",
        "trainer.max_epochs=3",
        "trainer.log_every_steps=3",
        "trainer.checkpoint_every_steps=1",
        "trainer.accelerator=cpu",
        "trainer.threads=1",
        "optim.schedule=cosine",
        "optim.warmup_steps=2",
        *more,
    ]


def trained_by(strategy: str) -> list[str]:
    """`joint`, or a registered strategy, as words of the command line."""
    gradients, _, parallelism = strategy.partition("_")
    return [f"gradients.name={gradients}", *([f"strategy.name={parallelism}"] if parallelism else [])]


def tiny_config(data: Path, out: Path, *more: str):
    """The run as a config."""
    return load([], tiny_words(data, out, *more))


def lines_of(run: Path) -> list[dict[str, float]]:
    """metrics.jsonl without what a clock says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith(CLOCKS)} for line in lines]


def column(run: Path, key: str) -> list[float]:
    """One metric over the run."""
    return [line[key] for line in lines_of(run) if key in line]


def checkpoint(run: Path, name: str = "last"):
    """A checkpoint's contents."""
    return read_checkpoint(run / "checkpoints" / f"{name}.ckpt")


def same(a, b) -> bool:
    """Equal, tensors bit for bit, all the way down."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def refuse_differences(run: Path, undisturbed: Path) -> None:
    """Weights, optimiser, schedule, cursor, best checkpoint and metrics of two runs are the same, bit for bit."""
    mine, good = checkpoint(run), checkpoint(undisturbed)
    for key in ("global_step", "state_dict", "average", "optimizer_states", "lr_schedulers", "StreamDataModule", "callbacks"):
        assert same(mine.get(key), good.get(key)), key
    for key in ("state_dict", "average"):
        assert same(checkpoint(run, "best").get(key), checkpoint(undisturbed, "best").get(key)), f"{key} of the best"
    assert lines_of(run) == lines_of(undisturbed)
