"""What a step of each method costs, relative to joint training. `make bench-methods`

    python benchmarks/method_cost.py                        every file of conf/method, the quick start's model on MovieLens-100K
    python benchmarks/method_cost.py --events LOG.parquet   another log: columns user_id, item_id, timestamp
    python benchmarks/method_cost.py --methods pin,upgrad   some

One process of one thread trains the same batches with every method, in turns, through the Lightning trainer and the strategies that
`ltrec train` builds. A step lasts from the end of the step before it to its own end. Ratios are medians over rounds and steps of
the time over that of the same step of joint training in the same round; `processor` compares processor time, each step at its least
over the rounds. `busy` is time over processor time: above 1.1 a method had to wait for other work, its time ratio is not its own,
and only its processor ratio tells something. A method with plugins has two stages and two rows; joint training has rows for options
that any method may have.

The few steps see none of the Gram matrices that telemetry forms every 25th step (gradients.probe_every_steps), and no checkpoint.
A method that takes many times a joint step is timed over fewer steps (`--slow-steps`). The result is written to
benchmarks/results/method-cost.json, and is the last line printed.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from bench_log import prepare_log
from harness.conf_methods import FILES
from rich.console import Console
from rich.table import Table
from stratified_modes import WARM, Stopwatch, Turn, least_processor
from torch.utils.data import DataLoader

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.run.build.components import Data, build_plan, open_data
from ltrec.run.build.strategies import build_strategy, build_stratified_options
from ltrec.run.build.training import build_module
from ltrec.run.build.two_stages import build_switch
from ltrec.run.process.rendezvous_env import Processes
from ltrec.training.callbacks.weight_average import WeightAverage

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "conf" / "experiment" / "quickstart.yaml"
RESULT = Path(__file__).parent / "results" / "method-cost.json"
SLOW = 8.0
"""From this ratio on a method gets fewer steps."""

STAGES = {
    "stage 1": ("switch.by=step", "switch.at=1000000000"),
    "stage 2": ("switch.by=step", "switch.at=0", "init_from="),
}

OPTIONS = {"averaged": ("trainer.ema=0.999",), "by distance": ("model.positions=distance",)}
"""Of joint training."""


def main() -> None:
    """Measure, print a table; the last line is one JSON object."""
    options = _arguments()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = Path(folder) / "data"
        prepare_log(options.events, data)
        result = Bench(data, options).measure()
    Console(width=132).print(table(result))
    atomic_write_text(options.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, help="a log instead of MovieLens-100K")
    parser.add_argument("--methods", type=lambda text: text.split(","), help="files of conf/method, by comma; all unless given")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of a turn")
    parser.add_argument("--slow-steps", type=int, default=2, help="the same for a method far slower than joint training")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every method")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings that differ from the quick start's")
    parser.add_argument("--out", type=Path, default=RESULT, help="where to write the result")
    return parser.parse_args()


@dataclass(frozen=True)
class Row:
    """A method, or one stage of it."""

    method: str
    config: RunConfig


class Bench:
    """All methods on one data set in this process."""

    def __init__(self, data: Path, options: argparse.Namespace) -> None:
        self.options, self.path = options, data
        asked = options.methods or sorted(FILES)
        self.rows = [row for method in dict.fromkeys(["joint", *asked]) for row in self.rows_of(method)]
        joint = self.rows[0].config
        self.data: Data = open_data(joint)
        self._batches: dict[str, list[SequenceBatch]] = {}

    def batches(self, config: RunConfig) -> list[SequenceBatch]:
        """The same users and targets for every method, in the strata and units that it counts in."""
        plan = build_plan(config, self.data)
        kind = f"{plan.digest} {plan.strata} {plan.unit}"
        if kind not in self._batches:
            number = WARM + self.options.steps
            loader = StreamLoader(self.data.folder, self.data.manifest, plan, world=World(0, 1))
            self._batches[kind] = list(islice(loader, number))
            assert len(self._batches[kind]) == number, "an epoch is shorter than a turn; ask for fewer --steps"
        return self._batches[kind]

    def rows_of(self, method: str) -> list[Row]:
        """One, or one per stage; of joint training also one per option."""
        file, named = FILES[method]
        fixed = [f"data.path={self.path}", "trainer.accelerator=cpu", "trainer.threads=1", "init_from=", "stream.users=all"]
        fixed += [
            f"trainer.ema={load([file], []).trainer.ema:g}",
            *named,
            *self.options.set,
        ]
        config = load([CONFIG, file], fixed)
        plain = [Row(method, config)] if config.trained_plugin.name == "none" else []
        section = f"{config.trained_plugin_section}."
        stages = {
            what: [section + word if word.startswith("switch.") else word for word in words] for what, words in STAGES.items()
        }
        more = stages if not plain else OPTIONS if method == "joint" else {}
        return [*plain, *(Row(f"{method}, {what}", load([CONFIG, file], [*fixed, *words])) for what, words in more.items())]

    def measure(self) -> dict[str, Any]:
        """Ratios of every method."""
        turns: dict[str, list[Turn]] = {row.method: [] for row in self.rows}
        refused: dict[str, str] = {}
        for number in range(self.options.rounds):
            first = number % len(self.rows)
            for row in [*self.rows[first:], *self.rows[:first]]:
                if row.method not in refused:
                    self.add_turn(row, turns, refused)
            print(f"round {number + 1} of {self.options.rounds}", flush=True)
        joint = turns["joint"]
        methods = {row.method: ratios(turns[row.method], joint) for row in self.rows if row.method not in refused}
        batches = self.batches(self.rows[0].config)
        targets = sum(int(batch.step_counts_K.sum()) for batch in batches) / len(batches)
        return {
            "benchmark": "method_cost",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
            "users_per_step": int(self.rows[0].config.stream.batch_rows),
            "targets_per_step": round(targets),
            "items": self.data.manifest.vocab.items,
            "strata": self.data.manifest.strata.count,
            "rounds": self.options.rounds,
            "busy": max(row["busy"] for row in methods.values()),
            "refused": refused,
            "methods": methods,
        }

    def add_turn(self, row: Row, turns: dict[str, list[Turn]], refused: dict[str, str]) -> None:
        """Train a fresh model on the batches and note the times; a slow method's first turn decides that it gets fewer."""
        steps = self.options.steps
        if turns[row.method] and turns["joint"] and slowness(turns[row.method][0], turns["joint"][0]) > SLOW:
            steps = min(steps, self.options.slow_steps)
        try:
            turns[row.method].append(self.turn(row.config, self.batches(row.config)[: WARM + steps]))
        except UserError as error:
            refused[row.method] = str(error)

    def turn(self, config: RunConfig, batches: list[SequenceBatch]) -> Turn:
        """Seconds of every step after the warm-up."""
        watch, plan = Stopwatch(), build_plan(config, self.data)
        options = build_stratified_options(config, self.data, plan)
        average = WeightAverage(config.trainer.ema) if config.trainer.ema else None
        switch = build_switch(config, self.path, average, quiet=True)
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            strategy=build_strategy(config, Processes(World(0, 1), 1, 0), "cpu", options),
            max_steps=len(batches),
            limit_val_batches=0,
            use_distributed_sampler=False,
            logger=False,
            callbacks=[callback for callback in (switch, average, watch) if callback],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        stage = build_module(config, self.data, plan)
        trainer.fit(stage, train_dataloaders=DataLoader(batches, batch_size=None))  # type: ignore[arg-type]  # a list is a data set
        gc.collect()
        return watch.turn()


def slowness(turn: Turn, joint: Turn) -> float:
    """How many times as long its steps take."""
    return statistics.median(turn.wall) / statistics.median(joint.wall)


def ratios(turns: Sequence[Turn], joint: Sequence[Turn]) -> dict[str, float]:
    """Median step and its ratios; where a turn has fewer steps, to the same steps of joint training."""
    pairs = list(zip(turns, joint, strict=True))
    steps = min(len(turn.wall) for turn in turns)
    mine, theirs = ([Turn(t.wall[:steps], t.processor[:steps]) for t in side] for side in (turns, joint))
    return {
        "step_ms": round(1e3 * statistics.median(second for turn in turns for second in turn.wall), 1),
        "time_ratio": round(statistics.median(a / b for m, j in pairs for a, b in zip(m.wall, j.wall, strict=False)), 3),
        "processor_ratio": round(least_processor(mine) / least_processor(theirs), 3),
        "busy": round(sum(sum(turn.wall) for turn in turns) / sum(sum(turn.processor) for turn in turns), 2),
        "steps": sum(len(turn.wall) for turn in turns),
    }


def table(result: dict[str, Any]) -> Table:
    """For people."""
    title = (
        f"A step of {result['users_per_step']} users, {result['targets_per_step']:,} targets, {result['items']:,} items, "
        f"{result['strata']} strata; busy {result['busy']}"
    )
    made = Table("method", "step ms", "time ratio", "processor ratio", "busy", "steps", title=title, title_justify="left")
    for column in made.columns[1:]:
        column.justify = "right"
    for name, row in result["methods"].items():
        made.add_row(name, *(str(row[key]) for key in ("step_ms", "time_ratio", "processor_ratio", "busy", "steps")))
    for name, reason in result["refused"].items():
        made.add_row(name, reason)
    return made


if __name__ == "__main__":
    main()
