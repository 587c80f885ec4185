"""Who serves the tail, on every log and backbone: `python -m benchmarks.longtail --logs DIR --out DIR [--jobs 2]`

DIR of --logs holds NAME/events.parquet (user_id, item_id, timestamp). For every log, backbone and method (`tables.py`):

    tune     every setting once, seed 0, on validation alone: the test split is never ranked
    final    the setting with the best validation NDCG@10, every seed; variants that need no training of their own (averaged
             weights, a memory beside them, two runs together, ...) are ranked from the same runs, on the test split once
    page     paired intervals, Holm, gate, from the committed results alone: python -m benchmarks.longtail.page

With --setting the choice of joint training is given, say that of the same runs with other arithmetic: it tunes nothing.

Results are small files in benchmarks/longtail/results, to be committed; run folders may be thrown away. The command may be killed
and repeated: what is there is not done again, runs resume from their last checkpoint. --log, --models, --methods and --seeds cut
the work into sittings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event

from benchmarks.harness.children import Children
from benchmarks.harness.options import numbers, some_of
from benchmarks.longtail import tables
from benchmarks.longtail.page import PAGE, RESULTS, write_page
from benchmarks.longtail.results import Results
from benchmarks.longtail.sitting import Cell, Sitting, conclude
from benchmarks.longtail.slots import Slots
from ltrec.config.load import load
from ltrec.data.prepare.pipeline import prepare


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/longtail"), help="folder for data and runs")
    parser.add_argument("--log", type=some_of(tables.LOGS), default=list(tables.LOGS), help="logs, by comma; all unless given")
    parser.add_argument("--models", type=some_of(tables.MODELS), default=list(tables.MODELS), help="backbones, by comma")
    parser.add_argument(
        "--methods", type=some_of(tables.METHODS), default=list(tables.METHODS), help="by comma; rivals on few logs"
    )
    parser.add_argument("--setting", help="of joint training, where it was chosen before")
    parser.add_argument("--seeds", type=numbers, default=list(tables.SEEDS), help="by comma")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each of one thread")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of all runs that differ")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    given = parser.parse_args()
    for model in given.models if given.setting else ():
        if given.setting not in (known := tables.settings(model, tables.BASE)):
            parser.error(f"--setting {given.setting}: {model} has {', '.join(known)}")
    return given


def prepare_log(log: str, logs: Path, out: Path) -> None:
    """Prepare a log; nothing to do where that was done."""
    words = [f"prepare.sources=[{logs / log / 'events.parquet'}]", f"prepare.name={log}", *tables.LOGS[log]]
    prepare(load([tables.SHARED], words).prepare, out / "data" / log)


def cells_of(logs: Sequence[str], models: Sequence[str], methods: Sequence[str]) -> list[Cell]:
    """What is to be done, in order: joint training on every log, then rivals on theirs."""
    base = [Cell(log, model, tables.BASE) for log in logs for model in models if tables.BASE in methods]
    rivals = [name for name in methods if name in tables.RIVALS]
    return base + [Cell(log, model, rival) for model in models for log in logs if log in tables.RIVALS_ON for rival in rivals]


def main() -> int:
    """Do what is not done yet; 1 when a run failed."""
    options = arguments()
    for log in options.log:
        prepare_log(log, options.logs, options.out)
    children = Children(options.out / "jobs", [sys.executable, "-m", "benchmarks.longtail.work"])
    sitting = Sitting(Results(options.results), options.out, children, Slots(options.jobs), tuple(options.set), options.setting)
    cells = cells_of(options.log, options.models, options.methods)
    sitting.tuned.update({cell: Event() for cell in cells if cell.method == tables.BASE})
    jobs: list[Callable[[], None]] = [partial(sitting.baselines, number, log) for number, log in enumerate(options.log)]
    for number, cell in enumerate(cells, len(jobs)):
        most = tables.RIVAL_SEEDS if cell.method in tables.RIVALS else tables.SEEDS
        jobs.append(partial(sitting.chain, number, cell, [seed for seed in options.seeds if seed in most]))
    page = PAGE if options.results == RESULTS else options.results / PAGE.name
    return conclude(children, jobs, partial(write_page, options.results, page))


if __name__ == "__main__":
    sys.exit(main())
