"""Any figure again from its config: `python -m benchmarks.longtail.rerun --logs DIR music sasrec joint 3 [--out DIR]`

The log is prepared and the run trained afresh, with the words that its line holds, in a folder of its own; its variants are ranked,
and the ranks set against the committed ones: how many users of the test split have another rank, and NDCG@10 of both.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np

from benchmarks.harness.children import Children, say
from benchmarks.harness.former import words_of_today
from benchmarks.harness.ledger import Line, Run, make_run
from benchmarks.longtail import tables
from benchmarks.longtail.__main__ import prepare_log
from benchmarks.longtail.page import RESULTS
from benchmarks.longtail.ranks import Users, read_users
from benchmarks.longtail.results import RANKED, TRAINED, Results
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import RANK


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", choices=list(tables.LOGS))
    parser.add_argument("model", choices=list(tables.MODELS))
    parser.add_argument("method", choices=list(tables.METHODS))
    parser.add_argument("seed", type=int)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/longtail-again"), help="folder for data and runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args()


def final_line(results: Results, data: str, method: str, seed: int) -> Line:
    """The line of the run whose variants were ranked; ends the program where there is none."""
    lines = results.ledger.lines(data)
    ranked = {line["key"].partition(":")[0] for line in lines if line["phase"] == RANKED}
    found = [line for line in lines if line["phase"] == TRAINED and (line["method"], line["seed"]) == (method, seed)]
    final = [line for line in found if line["key"] in ranked]
    return final[-1] if final else sys.exit(f"{data} {method} seed {seed} has not been ranked yet")


def run_of(line: Line, out: Path, log: str, model: str) -> Run:
    """The run that a line's command trains."""
    said = tuple(word for word in shlex.split(line["command"])[2:] if "=" in word and not word.startswith(("seed=", "data.path=")))
    words = words_of_today(said)
    names = {"data": line["data"], "method": line["method"], "setting": line["setting"], "seed": line["seed"]}
    run = make_run(tables.files(model, line["method"]), out, (), **names, words=words, folder=out / "data" / log)
    if run.key != line["key"]:
        sys.exit(f"the run's key is {run.key}, its line's {line['key']}: the log is another, or defaults have changed since")
    return run


def differences(users: Users, old: Path, key: str, rank_N: np.ndarray) -> str:
    """What ranks that were made again say beside the committed ones."""
    before_N, again_N = users.tables(old, "old")[key].column(RANK), np.where(rank_N > 0, rank_N, 10**6)
    values = (float(ndcg_at(ranks_N, 10).mean()) for ranks_N in (before_N, again_N))
    differing = int((np.where(before_N <= 100, before_N, 0) != rank_N).sum())
    return f"NDCG@10 {next(values):.6f} and again {next(values):.6f}; {differing} of {len(rank_N)} users have another rank"


def main() -> int:
    """Train and rank again, and tell what differs; 1 when the run failed."""
    options = arguments()
    results, data = Results(options.results), f"{options.log}-{options.model}"
    line = final_line(results, data, options.method, options.seed)
    prepare_log(options.log, options.logs, options.out)
    run = run_of(line, options.out, options.log, options.model)
    ranks = options.out / "jobs" / f"{run.config.name}.npz"
    names = [name for name in tables.variants(options.method) if results.ranked(run, name)]
    children = Children(options.out / "jobs", [sys.executable, "-m", "benchmarks.longtail.work"])
    say(f"{run.label}: {line['command']}")
    if children.do(run, "final", {"task": "final", "variants": names, "ranks": str(ranks)}) is None:
        return 1
    users = read_users(results.users(options.log))
    with np.load(ranks) as arrays:
        for name in names:
            old = results.ranks(data, options.method, name)
            print(f"{name}: {differences(users, old, f'{run.key}:{name}', arrays[name])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
