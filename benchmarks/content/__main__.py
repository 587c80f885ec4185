"""Content for the unreached: `python -m benchmarks.content --logs DIR --out DIR [--log toys] [--models gru4rec din] [--jobs 2]`

DIR of --logs holds NAME/events.parquet (user_id, item_id, timestamp), NAME/items.parquet and perhaps NAME/users.parquet, with the
columns that conf/data declares. For every log joint training on ids alone, and with item columns (`tables.py`):

    tune     every setting once, seed 0, on validation alone: the test split is never ranked
    final    the setting with the best validation NDCG@10, every seed; the trunk, and memories beside it, are ranked on the test
             split once
    page     means and paired intervals by group, and the gate, from the committed results alone: python -m benchmarks.content.page

Results are small files in benchmarks/content/results, to be committed; run folders may be thrown away. The command may be killed
and repeated: finished cells are skipped, and runs resume from their last checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.content import tables
from benchmarks.content.page import PAGE, RESULTS, write_page
from benchmarks.harness.children import Children
from benchmarks.longtail.results import Results
from benchmarks.longtail.sitting import Cell, Sitting, conclude
from benchmarks.longtail.slots import Slots
from benchmarks.longtail.tables import SHARED
from ltrec.config.load import load
from ltrec.data.prepare.pipeline import prepare


class ContentSitting(Sitting):
    """Each method chooses its own setting."""

    def base_words(self, cell: Cell) -> tuple[str, ...]:
        """No settings are inherited from another method."""
        assert cell.method in tables.METHODS
        return ()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet and NAME/items.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/content"), help="folder for data and runs")
    parser.add_argument("--log", nargs="+", choices=list(tables.LOGS), default=list(tables.LOGS), help="logs; all unless given")
    parser.add_argument("--models", nargs="+", choices=list(tables.MODELS), default=["sasrec"], help="sasrec unless given")
    parser.add_argument("--methods", nargs="+", choices=list(tables.METHODS), default=list(tables.METHODS), help="all unless given")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(tables.SEEDS), help="of training")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each of one thread")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides for all runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    return parser.parse_args()


def prepare_log(log: str, logs: Path, out: Path) -> None:
    """Prepare a log with its columns, unless that is done already."""
    folder = logs / log
    files = [tables.CONF / "data" / f"{tables.LOGS[log]}.yaml", SHARED]
    words = [f"prepare.sources=[{folder / 'events.parquet'}]"]
    declared = load(files, words).prepare
    tables_of = {"items": declared.items.source, "users": declared.users.source}
    words += [f"prepare.{name}.source={folder / name}.parquet" for name, source in tables_of.items() if source]
    prepare(load(files, words).prepare, out / "data" / log)


def main() -> int:
    """Do what is not done yet; 1 when a run failed."""
    options = arguments()
    for log in options.log:
        prepare_log(log, options.logs, options.out)
    children = Children(options.out / "jobs", [sys.executable, "-m", "benchmarks.content.work"])
    words = tuple(options.set)
    sitting = ContentSitting(Results(options.results), options.out, children, Slots(options.jobs), words, tables=tables)
    cells = [Cell(log, model, method) for log in options.log for model in options.models for method in options.methods]
    jobs: list[Callable[[], None]] = [partial(sitting.baselines, number, log) for number, log in enumerate(options.log)]
    jobs += [partial(sitting.chain, number, cell, options.seeds) for number, cell in enumerate(cells, len(jobs))]
    page = PAGE if options.results == RESULTS else options.results / PAGE.name
    return conclude(children, jobs, partial(write_page, options.results, page))


if __name__ == "__main__":
    sys.exit(main())
