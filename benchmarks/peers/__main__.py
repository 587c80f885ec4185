"""ltrec beside RePlay, RecBole and RecTools: `python -m benchmarks.peers --logs DIR`, or `make bench-peers LOGS=DIR`

DIR holds beauty/events.parquet and ml-100k/events.parquet (user_id, item_id, timestamp; `ltrec fetch ml-100k` gets the latter); a
log that is not there is left out. Every library gets an environment of its own with pinned versions, made once under
~/.cache/ltrec/peers (1.5 GB each); one that cannot be installed is left out, which is said.

Results are lines in benchmarks/peers/results, to be committed, and a page with a figure. The command may be killed and repeated:
what is there is not measured again. --log, --lengths, --peers and --rounds cut the work into sittings. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.options import numbers, some_of
from benchmarks.peers import tables
from benchmarks.peers.environment import TORCH_INDEX, default_folder
from benchmarks.peers.page import PAGE, RESULTS, write_page
from benchmarks.peers.processes import Processes
from benchmarks.peers.sitting import Sitting
from benchmarks.peers.tables import CELLS, OTHERS, OWN, ROUNDED, Cell, Plan


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="folder for data and runs")
    parser.add_argument(
        "--log", type=some_of(tables.PREPARE), default=list(tables.PREPARE), help="logs, by comma; all unless given"
    )
    parser.add_argument("--lengths", type=numbers, default=[], help="lengths, by comma; all unless given")
    parser.add_argument("--peers", type=some_of(OTHERS), default=OTHERS, help="libraries, by comma; all unless given")
    parser.add_argument("--rounds", type=int, default=3, help="runs of every library in every cell")
    parser.add_argument("--epochs", type=int, help="of training; the cheapest counts")
    parser.add_argument("--steps", type=int, help="cut the others' epochs after so many steps; 0 = never")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="folder of environments")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="where torch is taken from")
    return parser.parse_args()


def plan_of(options: argparse.Namespace) -> Plan:
    """What the options leave of the tables."""
    changed = {name: given for name in ("epochs", "steps") if (given := getattr(options, name)) is not None}

    def wanted(cell: Cell) -> bool:
        return cell.log in options.log and cell.length in (options.lengths or [cell.length])

    cells = tuple(replace(cell, **changed) for cell in CELLS if wanted(cell))
    return Plan(cells, (OWN, ROUNDED, *options.peers), options.rounds)


def main() -> int:
    """Measure what is not known yet, write the page; 1 when a run failed."""
    options = arguments()
    processes = Processes(options.out, options.environments, options.torch_index)
    Sitting(options.results, options.logs, processes).measure(plan_of(options))
    summary = write_page(options.results, PAGE if options.results == RESULTS else options.results / PAGE.name)
    print(json.dumps(summary.to_dict()))
    return 1 if processes.failed else 0


if __name__ == "__main__":
    sys.exit(main())
