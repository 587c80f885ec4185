"""Methods against joint training on real logs: `python benchmarks/methods.py --logs DIR --out DIR [--jobs 2]`

DIR of --logs holds NAME/events.parquet (user_id, item_id, timestamp). For every data set and method (`methods_tables.py`):

    tune     every setting of the method once, seed 0, on validation alone: this phase never ranks the test split
    final    the setting with the best validation NDCG@10, every seed; the test split is ranked once
    summary  the seeds of a method paired with those of joint training: intervals over users and seeds, ltrec's own gate

Results are lines of benchmarks/results/methods-NAME.jsonl; benchmarks/results/methods.md is made anew from them. The command may
be killed and repeated: finished runs are not done again, others resume from their last checkpoint. --data, --methods and --seeds
cut the work into sittings. --protocol ltp does the same for the protocol of LTP, with users that training has never seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.children import Children, say
from harness.conf_methods import FILES
from harness.ledger import Ledger, Line, Run, make_run
from methods_page import write_page
from methods_summary import summaries
from methods_tables import PLAIN, PROTOCOLS, Protocol

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.data.prepare.pipeline import prepare

HERE = Path(__file__).parent


@dataclass
class Sitting:
    """One call of the benchmark.

    Attributes:
        protocol: what is measured.
        ledger: results.
        out: folder of data, runs, jobs and logs.
        seeds: of the final phase.
        words: settings of all runs that differ from the protocol's.
        children: processes of runs.
    """

    protocol: Protocol
    ledger: Ledger
    out: Path
    seeds: Sequence[int]
    words: tuple[str, ...]
    children: Children

    def run(self, data: str, method: str, setting: str, seed: int) -> Run:
        """A run by its names: the files, the words of all runs, what the base has chosen, the words of the setting."""
        files = [HERE.parent / self.protocol.configs[data], FILES[method][0]]
        shared = (*self.words, *self.base_words(data, method))
        words = self.settings(method)[setting]
        return make_run(files, self.out, shared, data=data, method=method, setting=setting, words=words, seed=seed)

    def settings(self, method: str) -> dict[str, tuple[str, ...]]:
        """What the method may choose from."""
        return self.protocol.settings.get(method, {PLAIN: ()})

    def base_words(self, data: str, method: str) -> tuple[str, ...]:
        """What a method takes over from the base.

        Raises:
            UserError: the base has not chosen yet.
        """
        base = self.protocol.methods[0]
        if method == base:
            return ()
        chosen = self.chosen(data, base)
        if chosen is None:
            raise UserError(f"{base} has not chosen its setting on {data} yet: run it first, --methods {base},...")
        return self.settings(base)[chosen]

    def chain(self, data: str, method: str, seeds: Sequence[int]) -> None:
        """Tune, choose, repeat with these seeds, one run after the other."""
        try:
            self.tune(data, method)
            chosen = self.chosen(data, method)
            for seed in seeds if chosen else ():
                self.ensure(self.run(data, method, str(chosen), seed), "final")
        except UserError as error:
            self.children.fail(f"{data} {method}", str(error))

    def tune(self, data: str, method: str) -> None:
        """Try every setting.

        Raises:
            UserError: a wrong file or word.
        """
        runs = [self.run(data, method, setting, 0) for setting in self.settings(method)]
        assert len({run.key for run in runs}) == len(runs), f"two settings of {method} are the same on {data}"
        for run in runs:
            self.ensure(run, "tune")

    def chosen(self, data: str, method: str) -> str | None:
        """The setting with the best validation NDCG@10 over all users, the first of equals; None before all were tried."""
        found = {s: self.ledger.find(data, "tune", self.run(data, method, s, 0).key) for s in self.settings(method)}
        if not all(found.values()):
            return None
        return max(found, key=lambda setting: found[setting]["validation"]["all"]["ndcg@10"])  # type: ignore[index]  # all are there

    def finals(self, data: str, method: str) -> list[Line] | None:
        """The lines of all seeds with the chosen setting; None unless all are there."""
        try:
            chosen = self.chosen(data, method)
            runs = [self.run(data, method, chosen, seed) for seed in self.seeds] if chosen else []
        except UserError:  # a wrong file or word, which `chain` has told
            return None
        lines = [self.ledger.find(data, "final", run.key) for run in runs]
        return [line for line in lines if line] if lines and all(lines) else None

    def ensure(self, run: Run, phase: str) -> None:
        """Do a run unless its line is there, or it has failed before."""
        if self.children.idle(run.label) or self.ledger.find(run.data, phase, run.key) is not None:
            return
        say(f"{run.label}: {phase} begins")
        found = self.children.do(run, phase, {"test": phase == "final"})
        if found is None:
            return
        self.ledger.add({"phase": phase, **run.facts(), **found})
        value, where = found["validation"]["all"]["ndcg@10"], f"epoch {found['best_epoch']:g} of {found['epochs']:g}"
        say(f"{run.label}: {phase} done, validation NDCG@10 {value:.4f} at {where}, {found['seconds']:.0f} s, busy {found['busy']}")


def children_of(out: Path) -> Children:
    """Processes of runs whose folders are in `out`."""
    return Children(out / "jobs", [sys.executable, str(HERE / "methods_run.py")])


def prepare_data(protocol: Protocol, data: Sequence[str], logs: Path, out: Path) -> None:
    """Prepare the logs; nothing to do where that was done."""
    for name in data:
        source = f"prepare.sources=[{logs / name / 'events.parquet'}]"
        prepare(load([HERE.parent / protocol.configs[name]], [source]).prepare, out / "data" / name)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, help="folder with NAME/events.parquet")
    parser.add_argument("--out", type=Path, default=Path("runs/methods"), help="folder for data and runs")
    parser.add_argument("--protocol", choices=list(PROTOCOLS), default="methods")
    parser.add_argument("--data", type=_names, help="data sets, by comma; all of the protocol unless given")
    parser.add_argument("--methods", type=_names, help="files of conf/method, by comma; all of the protocol unless given")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each of one thread")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of all runs that differ")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder for the results")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def work_through(
    pool: ThreadPoolExecutor, sitting: Sitting, data: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> None:
    """Chains of every method on every data set, side by side, begun in this order; returns when all have ended."""
    for ended in [pool.submit(sitting.chain, name, method, seeds) for method in methods for name in data]:
        ended.result()


def main() -> int:
    """Do what is not done yet; 1 when a run failed."""
    options = arguments()
    protocol = PROTOCOLS[options.protocol]
    data, methods = options.data or list(protocol.configs), options.methods or list(protocol.methods)
    if unknown := [name for name in data if name not in protocol.configs]:
        sys.exit(f"unknown data set {unknown[0]!r}; protocol {options.protocol} has {', '.join(protocol.configs)}")
    out = options.out / options.protocol
    prepare_data(protocol, data, options.logs, out)
    children = children_of(out)
    sitting = Sitting(protocol, Ledger(options.results, options.protocol), out, options.seeds, tuple(options.set), children)
    base = [method for method in methods if method == protocol.methods[0]]
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            work_through(pool, sitting, data, base, [])
            work_through(pool, sitting, data, methods, options.seeds)
        except KeyboardInterrupt:  # heard by the runs, too: they save a checkpoint and end
            children.stopping.set()
            say("stopping; the same command resumes from here")
            return 130
    summaries(sitting.ledger, protocol, sitting.finals, methods, out)
    write_page(options.results / f"{options.protocol}.md", protocol, sitting.ledger)
    say(f"{len(children.failed)} failed: {', '.join(children.failed)}" if children.failed else "all done")
    return 1 if children.failed else 0


if __name__ == "__main__":
    sys.exit(main())
