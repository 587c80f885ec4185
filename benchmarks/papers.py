"""Claims of papers in their own terms, and against a better baseline: `python benchmarks/papers.py --logs DIR [--claims NAME,...]`

DIR of --logs holds NAME/events.parquet (user_id, item_id, timestamp). `papers_tables.py` has the claims: CVaR and group DRO on
RetailRocket as their public code trains them, LTP's Table 3 with GRU4Rec and SASRec, PIN as released. Each is measured twice, with
the loss of the paper and with the baseline that we would hold a method against; if it holds for one and not for the other, that is
the finding.

Tuning, runs, lines and keys are those of `methods.py`: settings are chosen on validation, the test split is ranked once per final
run, the command may be killed and repeated, one thread a run, one run at a time. Results are lines of
benchmarks/results/papers-CLAIM-SIDE-DATA.jsonl, and the page papers.md, which is made anew from them and says what is missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from harness.children import say
from papers_page import write_page
from papers_tables import CLAIMS, Claim
from papers_work import Bench, pool, work_side

HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/papers"), help="folder for data and runs")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder for the results")
    parser.add_argument("--claims", type=_names, default=list(CLAIMS), help="by comma; all unless given")
    parser.add_argument("--sides", type=_names, help="by comma: the paper's loss, ours; both unless given")
    parser.add_argument("--data", type=_names, help="data sets, by comma; all of the claim unless given")
    parser.add_argument("--methods", type=_names, help="files of conf/method, by comma; all of the claim unless given")
    parser.add_argument("--seeds", type=int, help="no more than this many")
    parser.add_argument("--tries", type=int, help="settings of a method, the first ones; all unless given")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of all runs that differ")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def work_claim(bench: Bench, claim: Claim, options: argparse.Namespace) -> list[str]:
    """Do what is not done yet of a claim; what failed."""
    failed: list[str] = []
    for data in claim.data:
        if options.data and data not in options.data:
            continue
        bench.prepare(claim, data)
        for side in claim.sides:
            if options.sides and side.name not in options.sides:
                continue
            sitting = bench.sitting(claim, side)
            methods = [method for method in side.protocol.methods if not options.methods or method in options.methods]
            work_side(sitting, data, methods, min(claim.seeds[data], options.seeds or claim.seeds[data]))
            if claim.pooled:
                pool(sitting, data, methods)
            write_page(bench.results / "papers.md", bench)
            failed += sitting.children.failed
    return failed


def main() -> int:
    """1 when a run failed."""
    options = arguments()
    if unknown := [name for name in options.claims if name not in CLAIMS]:
        sys.exit(f"unknown claim {unknown[0]!r}; there are {', '.join(CLAIMS)}")
    torch.set_num_threads(1)
    bench = Bench(options.logs, options.out, options.results, tuple(options.set), options.tries)
    try:
        failed = [label for name in options.claims for label in work_claim(bench, CLAIMS[name], options)]
    except KeyboardInterrupt:  # heard by the run, too: it saves a checkpoint and ends
        say("stopping; the same command resumes from here")
        return 130
    finally:
        write_page(bench.results / "papers.md", bench)
    say(f"{len(failed)} failed: {', '.join(failed)}" if failed else "all done")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
