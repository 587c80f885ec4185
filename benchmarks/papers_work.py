"""One side of a claim at work: runs of `methods.py`, and summaries of the seeds that are there so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from harness.ledger import Ledger, Line
from methods import Sitting, children_of, prepare_data
from methods_summary import summaries
from papers_pooled import pooled_line
from papers_tables import Claim, Side

from ltrec.core.errors import UserError
from ltrec.evaluation.config import EvaluationConfig


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the work is done.

    Attributes:
        logs: folder with NAME/events.parquet.
        out: folder for data and runs.
        results: folder for results.
        words: settings of all runs that differ, for trying the benchmark itself.
        tries: settings of a method that are tried, the first ones; None = all.
    """

    logs: Path
    out: Path
    results: Path
    words: tuple[str, ...] = ()
    tries: int | None = None

    def ledger(self, claim: Claim, side: Side) -> Ledger:
        """The lines of a side."""
        return Ledger(self.results, f"papers-{claim.name}-{side.name}")

    def sitting(self, claim: Claim, side: Side) -> Sitting:
        """The runs of a side."""
        seeds, out = range(max(claim.seeds.values())), self.out / claim.paper
        cut = {method: dict(islice(tried.items(), self.tries)) for method, tried in side.protocol.settings.items()}
        words = (*side.words, *self.words)
        return Sitting(replace(side.protocol, settings=cut), self.ledger(claim, side), out, seeds, words, children_of(out))

    def prepare(self, claim: Claim, data: str) -> None:
        """The claim's data set; nothing to do where it is there."""
        prepare_data(claim.theirs.protocol, [data], self.logs, self.out / claim.paper)


def work_side(sitting: Sitting, data: str, methods: list[str], seeds: int) -> None:
    """Every method with the first seed, then with the next: so a table of few seeds is whole first.

    Args:
        sitting: the runs of the side.
        data: which data set.
        methods: of the protocol; its first, the base, is tuned whether it is among them or not.
        seeds: how many.
    """
    sitting.chain(data, sitting.protocol.methods[0], [])
    for count in range(1, seeds + 1):
        for method in methods:
            sitting.chain(data, method, range(count))
            summarise(sitting, methods)


def summarise(sitting: Sitting, methods: list[str], config: EvaluationConfig | None = None) -> None:
    """A line for each method, over the seeds that it shares with the base so far."""
    base = sitting.protocol.methods[0]
    for method in methods:

        def shared(data: str, name: str, method: str = method) -> list[Line] | None:
            lines = {one: finished(sitting, data, one) for one in (base, method)}
            return [line for seed, line in lines[name].items() if seed in lines[base] and seed in lines[method]] or None

        summaries(sitting.ledger, sitting.protocol, shared, [method], sitting.out, config)


def pool(sitting: Sitting, data: str, methods: list[str]) -> None:
    """AUC over the pool of all users, of every final run that has no such line yet."""
    for method in methods:
        for line in finished(sitting, data, method).values():
            if sitting.ledger.find(data, "pooled", line["key"]) is None:
                sitting.ledger.add(pooled_line(line, sitting.out))


def finished(sitting: Sitting, data: str, method: str) -> dict[int, Line]:
    """Seed -> final line, of those that are there."""
    try:
        chosen = sitting.chosen(data, method)
        runs = {seed: sitting.run(data, method, chosen, seed) for seed in sitting.seeds} if chosen else {}
    except UserError:  # the data are not prepared, or the base has not chosen
        return {}
    found = {seed: sitting.ledger.find(data, "final", run.key) for seed, run in runs.items()}
    return {seed: line for seed, line in found.items() if line}
