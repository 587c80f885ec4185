"""One call of the benchmark: what is to be done, in which order, and what was chosen.

For every log, backbone and method a chain: every setting is tried with seed 0, one is chosen by validation, all seeds are trained
with it (that of seed 0 is trained already) and their variants ranked; then those that need two runs. Chains run side by side,
processes are given slots in the order of the chains, so that those that come first are finished first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from benchmarks.harness.children import Children, say
from benchmarks.harness.ledger import Line, Run, Words, make_run
from benchmarks.longtail import tables
from benchmarks.longtail.commands import train_words
from benchmarks.longtail.results import Results
from benchmarks.longtail.slots import Slots
from ltrec.config.load import dump
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text


class Tables(Protocol):
    """What a benchmark measures: a module such as `benchmarks.longtail.tables`."""

    BASE: str
    SEEDS: tuple[int, ...]
    UNTRAINED: str
    BASELINES: Words

    def files(self, model: str, method: str, /) -> list[Path]:
        """Files of a method's config with a backbone."""

    def settings(self, model: str, method: str, /) -> dict[str, Words]:
        """What a method may choose from."""

    def variants(self, method: str, /) -> Words:
        """What is ranked from a single run."""

    def variants_of_two(self, method: str, /) -> Words:
        """What is ranked from two runs."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A method on a log with a backbone."""

    log: str
    model: str
    method: str

    @property
    def data(self) -> str:
        """What its lines and files are called by."""
        return f"{self.log}-{self.model}"

    @property
    def base(self) -> Cell:
        """The cell that its settings are put on."""
        return Cell(self.log, self.model, tables.BASE)


@dataclass
class Sitting:
    """One call of the benchmark.

    Attributes:
        results: committed ones.
        out: folder of data, runs, jobs and logs.
        children: processes.
        slots: how many at a time.
        words: settings of all runs that differ.
        given: the setting of the base, if it was chosen before.
        tuned: bases whose tuning is a part of this sitting; set when it has ended.
        tables: what is measured.
    """

    results: Results
    out: Path
    children: Children
    slots: Slots
    words: tuple[str, ...] = ()
    given: str | None = None
    tuned: dict[Cell, Event] = field(default_factory=dict)
    tables: Tables = tables
    _numbers: count[int] = field(default_factory=count)

    def run(self, cell: Cell, setting: str, seed: int) -> Run:
        """A run by its names."""
        files = self.tables.files(cell.model, cell.method)
        shared = (*self.words, *self.base_words(cell))
        words = self.tables.settings(cell.model, cell.method)[setting]
        names = {"data": cell.data, "method": cell.method, "setting": setting}
        return make_run(files, self.out, shared, **names, words=words, seed=seed, folder=self.out / "data" / cell.log)

    def base_words(self, cell: Cell) -> tuple[str, ...]:
        """What a method takes over from the base.

        Raises:
            UserError: the base has not chosen yet.
        """
        if cell.method == self.tables.BASE:
            return ()
        chosen = self.chosen(cell.base)
        if chosen is None:
            base = self.tables.BASE
            raise UserError(f"{cell.data}: {base} has not chosen its setting yet: run it first, --methods {base}")
        return self.tables.settings(cell.model, self.tables.BASE)[chosen]

    def chosen(self, cell: Cell) -> str | None:
        """The given setting, else that with the best validation NDCG@10 over all users, the first of equals; None before all were
        tried."""
        if self.given and cell.method == self.tables.BASE:
            return self.given
        found = {s: self.results.trained(self.run(cell, s, 0)) for s in self.tables.settings(cell.model, cell.method)}
        if not all(found.values()):
            return None
        return max(found, key=lambda setting: found[setting]["validation"]["all"]["ndcg@10"])  # type: ignore[index]  # all are there

    def chain(self, number: int, cell: Cell, seeds: Sequence[int]) -> None:
        """Tune, choose, train every seed and rank, as far as that is not done."""
        try:
            if cell.method != self.tables.BASE and (tuned := self.tuned.get(cell.base)):
                tuned.wait()
            if self.chosen(cell) is None:
                self.tune(number, cell)
            chosen = self.chosen(cell)
            if cell in self.tuned:
                self.tuned[cell].set()
            if chosen:
                self.finish(number, [self.run(cell, chosen, seed) for seed in seeds])
        except UserError as error:
            self.children.fail(f"{cell.data} {cell.method}", str(error))
        finally:
            if cell in self.tuned:
                self.tuned[cell].set()

    def tune(self, number: int, cell: Cell) -> None:
        """Try every setting with seed 0."""
        runs = [self.run(cell, setting, 0) for setting in self.tables.settings(cell.model, cell.method)]
        assert len({run.key for run in runs}) == len(runs), f"two settings of {cell} are the same"
        self.side_by_side([partial(self.ensure_trained, number, run) for run in runs])

    def finish(self, number: int, runs: Sequence[Run]) -> None:
        """Train and rank the chosen setting's seeds; then rank what takes two of them.

        Each seed goes with the next in `tables.SEEDS`, and the last with the first.
        """
        self.side_by_side([partial(self.ensure_ranked, number, run) for run in runs])
        seeds = self.tables.SEEDS
        after = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True))
        by_seed = {run.seed: run for run in runs}
        pairs = [(run, by_seed[after[seed]]) for seed, run in by_seed.items() if after.get(seed) in by_seed]
        self.side_by_side([partial(self.ensure_two, number, *pair) for pair in pairs])

    def side_by_side(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Do all, and raise what one of them raised."""
        with ThreadPoolExecutor(max(1, len(jobs))) as pool:
            for ended in [pool.submit(job) for job in jobs]:
                ended.result()

    def ensure_trained(self, number: int, run: Run) -> None:
        """A tuning run's line, unless it is there."""
        if self.results.trained(run) is None:
            self.do(number, run, {"task": "tune"})

    def ensure_ranked(self, number: int, run: Run) -> None:
        """The lines and ranks of a final run's variants, unless they are there."""
        if missing := [name for name in self.tables.variants(run.method) if self.results.ranked(run, name) is None]:
            self.do(number, run, {"task": "final", "variants": missing})

    def ensure_two(self, number: int, run: Run, other: Run) -> None:
        """The lines and ranks of what takes two runs."""
        if missing := [name for name in self.tables.variants_of_two(run.method) if self.results.ranked(run, name) is None]:
            partner = self.out / "jobs" / f"{run.config.name}.partner.yaml"
            atomic_write_text(partner, dump(other.config))
            self.do(number, run, {"task": "two", "variants": missing, "partner": str(partner)})

    def baselines(self, number: int, log: str) -> None:
        """What needs no training on a log."""
        try:
            names = {"data": log, "method": self.tables.UNTRAINED, "setting": "as-is"}
            files = self.tables.files("sasrec", self.tables.BASE)
            run = make_run(files, self.out, self.words, **names, words=(), seed=0, folder=self.out / "data" / log)
            users = self.results.users(log)
            missing = [name for name in self.tables.BASELINES if self.results.ranked(run, name) is None]
            if missing or not users.exists():
                self.do(number, run, {"task": "log", "variants": missing or ["popularity"], "users": str(users)}, trained=False)
        except UserError as error:
            self.children.fail(f"{log} {self.tables.UNTRAINED}", str(error))

    def do(self, number: int, run: Run, asks: dict[str, Any], *, trained: bool = True) -> None:
        """A job in a process of its own, as soon as there is a slot, and its lines."""
        with self.slots.hold((number, next(self._numbers))):
            if self.children.idle(run.label):
                return
            say(f"{run.label}: {asks['task']} begins")
            ranks = self.out / "jobs" / f"{run.config.name}.{asks['task']}.npz"
            found = self.children.do(run, asks["task"], asks | {"ranks": str(ranks)})
        if found is None:
            return
        ranked = found.pop("ranked", {})
        if trained:
            self.results.add_trained(run, found, train_words(run))
        if ranked:
            self.results.add_ranked(run, ranked, ranks, trained=trained)
        say(f"{run.label}: {asks['task']} done{_told(found)}")


def _told(found: Line) -> str:
    if "validation" not in found:
        return ""
    value, where = found["validation"]["all"]["ndcg@10"], f"epoch {found['best_epoch']:g} of {found['epochs']:g}"
    return f", validation NDCG@10 {value:.4f} at {where}, {found['seconds']:.0f} s, busy {found['busy']}"


def conclude(children: Children, jobs: Sequence[Callable[[], None]], make_page: Callable[[], None]) -> int:
    """Do all jobs side by side, then make the page; the exit status: 1 when a run failed, 130 when stopped."""
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        submitted = [pool.submit(job) for job in jobs]
        try:
            for ended in submitted:
                ended.result()
        except KeyboardInterrupt:  # heard by the runs, too: they save a checkpoint and end
            children.stopping.set()
            say("stopping; the same command resumes from here")
            return 130
    make_page()
    say(f"{len(children.failed)} failed: {', '.join(children.failed)}" if children.failed else "all done")
    return 1 if children.failed else 0
