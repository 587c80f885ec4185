"""What a step costs when gradients are formed by stratum, against plain Lightning DDP. `make bench-step`

    python benchmarks/stratified_step.py                        SASRec of the quick start on MovieLens-100K, and with 100,000 items
    python benchmarks/stratified_step.py --events LOG.parquet   another log: columns user_id, item_id, timestamp
    python benchmarks/stratified_step.py --items 0              the data set's own catalogue only

Two gloo processes of one thread each train the same global batches in every mode and for every number of strata K:

    joint               the mean loss, Lightning's DDP                     weighted            one backward pass of a weighted loss
    per_stratum         K gradients, reduced one by one                    .../upgrad          with a rule on the Gram matrix
    ...+probe           with a Gram matrix that no rule reads formed at *every* step (a run does it every n-th, or never)

FLOPs are those of all matrix products on all ranks, counted as they run; in `per_stratum` a probe's are spread over the steps from
one to the next. What is linear in K and in the parameters is no product and not counted: norms, combination, optimiser. Bytes are
what a ring sends from one rank. Buffers are what the engine holds beyond the gradient that any training holds: each rank's own K
gradients from one pass, and its part of their sums. Time is the median,
over rounds and steps, of the ratio to the same step of joint training in the same round; `processor` compares the processor time of
a rank, each step at its least over the rounds, which other work on the machine disturbs less. All targets are judged at the end.
When `busy` (slowest over fastest round of joint training) is above 1.25, other work was going on and times should be taken again.

The large catalogue pads the data set's to 100,000 items and is trained by sampled softmax with shared negatives, as a catalogue of
that size would be. The loss touches few items, and gradients are of their rows alone (`gradients.rows=auto`); with
`--set gradients.rows=all` they are of the whole table, which K gradients by stratum fill, send and sum. `rows.py` asks how a step
grows with the catalogue.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from bench_log import prepare_log
from rich.console import Console
from rich.table import Table
from stratified_modes import WORLD, Cell, work

CONFIG = Path(__file__).parents[1] / "conf" / "experiment" / "quickstart.yaml"
LARGE = ("objective.name=sampled_softmax", "objective.scope=shared")


def main() -> None:
    """Measure, print the tables and the verdicts; the last line is one JSON object."""
    arguments = _arguments()
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the processes, before their torch is loaded
    console = Console(width=132)
    with tempfile.TemporaryDirectory() as folder:
        work_folder = Path(folder)
        cells = [cell for data in prepared(arguments, work_folder) for cell in cells_of(arguments, data)]
        out = work_folder / "results.json"
        mp.spawn(work, (str(work_folder / "rendezvous"), str(CONFIG), cells, str(out)), nprocs=WORLD)
        results = json.loads(out.read_text())
    verdicts = [verdict for result in results for verdict in judge(result)]
    for result in results:
        console.print(table(result))
    for verdict in verdicts:
        console.print(verdict.line(), highlight=False)
    print(json.dumps(figures(results, verdicts)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, help="a log instead of MovieLens-100K")
    parser.add_argument("--strata", type=int, nargs="+", default=[2, 5, 10], help="numbers of strata")
    parser.add_argument("--items", type=int, default=100_000, help="size of the large catalogue; 0 = leave it out")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every mode; half of it with the large catalogue")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings that differ from the quick start's")
    return parser.parse_args()


def prepared(arguments: argparse.Namespace, folder: Path) -> Iterator[Path]:
    """A data set for every number of strata, prepared as conf/data/ml-100k.yaml says."""
    for strata in arguments.strata:
        out = folder / f"strata-{strata}"
        prepare_log(arguments.events, out, strata=strata)
        yield out


def cells_of(arguments: argparse.Namespace, data: Path) -> list[Cell]:
    """The data set's own catalogue, and the large one."""
    own = Cell(str(data), 0, tuple(arguments.set), arguments.steps, arguments.rounds)
    large = Cell(str(data), arguments.items, (*LARGE, *arguments.set), arguments.steps, (arguments.rounds + 1) // 2)
    return [own, large] if arguments.items else [own]


@dataclass(frozen=True)
class Verdict:
    """One target of one cell."""

    where: str
    what: str
    found: float
    limit: float
    binding: bool = True

    @property
    def word(self) -> str:
        """Met, not met; or reported only."""
        met = "met" if self.found <= self.limit else "not met"
        return met if self.binding else f"{met} (reported)"

    def line(self) -> str:
        """One line for people."""
        return f"{self.word:<20} {self.where:<24} {self.what:<28} {self.found:>14,.3f}  limit {self.limit:,.3f}"


def judge(result: dict[str, Any]) -> list[Verdict]:
    """The targets of a cell. One micro-batch a step, so A = 1."""
    strata, modes, large = result["strata"], result["modes"], result["padded"]
    joint, per, weighted = modes["joint"], modes["per_stratum"], modes["weighted"]
    where, padding = f"K={strata}, {result['items']:,} items", 4 * WORLD
    whole = (strata + 1) / 2 * joint["bytes"] + 16 * strata**2 + (strata + 1) * padding
    verdicts = [
        Verdict(where, "bytes, per_stratum", per["bytes"], whole),
        Verdict(where, "bytes, weighted", weighted["bytes"], joint["bytes"] + 64 * strata),
        Verdict(where, "FLOPs, per_stratum/joint", per["flops"] / joint["flops"], 1.02),
        Verdict(
            where, "buffers, per_stratum", per["buffers"], joint["gradient"] * (1 + strata + strata / WORLD) + 2 * strata * padding
        ),
        Verdict(where, "buffers, weighted", weighted["buffers"], 0),
    ]
    timed = strata == 5 and not large
    verdicts.append(Verdict(where, "time, weighted/joint", weighted["time_ratio"], 1.05, timed))
    verdicts.append(Verdict(where, "time, per_stratum/joint", per["time_ratio"], 1.15, timed))
    return verdicts


def table(result: dict[str, Any]) -> Table:
    """All modes of a cell."""
    modes = result["modes"]
    head = ("mode", "GFLOP", "ratio", "MB sent", "ratio", "buffers MB", "gradients", "step ms", "time ratio", "processor ratio")
    title = (
        f"K = {result['strata']}, {result['items']:,} items, {result['objective']}, {result['targets_per_step']:,} targets a step"
    )
    made = Table(*head, title=title, title_justify="left")
    for column in made.columns[1:]:
        column.justify = "right"
    joint = modes["joint"]
    for name, mode in modes.items():
        made.add_row(
            name,
            f"{mode['flops'] / 1e9:.3f}",
            f"{mode['flops'] / joint['flops']:.4f}",
            f"{mode['bytes'] / 1e6:.3f}",
            f"{mode['bytes'] / joint['bytes']:.4f}",
            f"{mode['buffers'] / 1e6:.3f}",
            f"{mode['buffers'] / mode['gradient']:.2f}",
            f"{1e3 * mode['step_s']:.1f}",
            f"{mode['time_ratio']:.3f}",
            f"{mode['processor_ratio']:.3f}",
        )
    return made


def figures(results: list[dict[str, Any]], verdicts: list[Verdict]) -> dict[str, Any]:
    """Everything for machines."""
    return {
        "benchmark": "stratified_step",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "processes": WORLD,
        "busy": round(max(result["busy"] for result in results), 2),
        "met": all(v.found <= v.limit for v in verdicts if v.binding),
        "not_met": [f"{v.where}: {v.what}" for v in verdicts if v.found > v.limit],
        "cells": results,
    }


if __name__ == "__main__":
    main()
