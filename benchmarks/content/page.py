"""Committed results -> one Markdown page: `python -m benchmarks.content.page`. No run folder is needed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from benchmarks.content import tables
from benchmarks.content.groups import parts
from benchmarks.longtail.comparisons import Comparison
from benchmarks.longtail.judge import HEADLINE, Judge, Scorer
from benchmarks.longtail.markdown import table
from benchmarks.longtail.ranks import Users, read_users
from benchmarks.longtail.results import TRAINED
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.evaluation.comparison.compare import Difference, difference
from ltrec.evaluation.comparison.pairing import Paired
from ltrec.evaluation.config import EvaluationConfig

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "results" / "content.md"

IDS = Scorer(tables.BASE, "mix")
COMPARISONS = {
    "Columns in the trunk": Comparison(Scorer(tables.BASE, "ema"), Scorer("content", "ema")),
    "Columns in the memory": Comparison(IDS, Scorer(tables.BASE, "mix-content")),
    "Columns in the trunk, beside a memory of transitions": Comparison(IDS, Scorer("content", "mix")),
    "Columns in both": Comparison(IDS, Scorer("content", "mix-content")),
}
"""Each compares with the same method on ids alone; the last three with the recommended method."""

ABOUT = """Written by `python -m benchmarks.content.page` from the files in `benchmarks/content/results`, which
`python -m benchmarks.content --logs DIR` makes; do not edit it.

Joint training on ids alone (`ids`) and with every item column that the log has and a tenth of the ids dropped (`content`),
averaged weights (`ema`), beside a memory of transitions (`mix`, the recommended method) or of transitions and of similar items
(`mix-content`). Each tried the same {settings} settings, seed 0, on validation; the chosen one was trained with seeds {seeds},
and the test split ranked once. Every item is ranked, items of the history are left out, events at one time are in the order of
a hash. A target is reached when it is in the history or one link away. NDCG@10; changes are paired by user and seed, with 95 %
intervals over users and seeds.
The gate: tail up (one-sided p < .05, Holm over the logs) and head not more than 5 % below.
"""


class ContentJudge(Judge):
    """A judge of this benchmark's logs."""

    @cached_property
    def logs(self) -> dict[str, Users]:
        """Logs with results, in the order of the tables."""
        return {log: read_users(path) for log in tables.LOGS if (path := self.results.users(log)).exists()}


def write_page(results: Path = RESULTS, page: Path = PAGE, config: EvaluationConfig | None = None) -> None:
    """Write the page."""
    judge = ContentJudge(results, config or EvaluationConfig())
    blocks = [
        "# Content for the unreached",
        ABOUT.format(settings=len(tables.settings("sasrec", tables.BASE)), seeds=_seeds()).strip(),
    ]
    for title, comparison in COMPARISONS.items():
        if rows := [row for model in tables.MODELS for row in _verdicts(judge, model, comparison)]:
            blocks += [f"## {title}", comparison.title, table(["log", "backbone", "seeds", "gate"], rows)]
    for log, users in judge.logs.items():
        for model in tables.MODELS:
            found = {title: judge.paired(log, model, one.base, one.other) for title, one in COMPARISONS.items()}
            if not any(found.values()):
                continue
            blocks += [f"## {log}, {model}", *_means(judge, log, model), *_changes(judge, users, found)]
    blocks += _tuning(judge)
    atomic_write_text(page, "\n\n".join(blocks) + "\n")


def _seeds() -> str:
    return ", ".join(map(str, tables.SEEDS))


def _verdicts(judge: Judge, model: str, comparison: Comparison) -> Iterable[list[str]]:
    for log, verdict in judge.gates(model, comparison.base, comparison.other).items():
        paired = judge.paired(log, model, comparison.base, comparison.other)
        assert paired is not None
        text = f"**{verdict.verdict}** (tail {verdict.tail.verdict}, p {verdict.tail.p:.4f}; head {verdict.head.verdict})"
        yield [log, model, str(len(paired.seeds)), "; ".join([text, *verdict.notes])]


def _means(judge: Judge, log: str, model: str) -> Iterable[str]:
    """NDCG@10 of every scorer in every group."""
    found = parts(judge.logs[log], judge.config)
    scorers = [Scorer(tables.UNTRAINED, name) for name in tables.BASELINES]
    scorers += [Scorer(method, variant) for method in tables.METHODS for variant in tables.variants(method)]
    runs = {scorer.name: tables_ for scorer in scorers if (tables_ := judge.seeds(log, model, scorer))}
    means = {name: judge.means(tables_, HEADLINE, found) for name, tables_ in runs.items()}
    rows = [[group.label, f"{group.users:,}", *(f"{mean[group.key]:.4f}" for mean in means.values())] for group in found]
    yield table(["users", "how many", *(f"{name} ({len(runs[name])})" for name in means)], rows)


def _changes(judge: Judge, users: Users, found: Mapping[str, Paired | None]) -> Iterable[str]:
    """Gain of each comparison in every group."""
    groups, columns = parts(users, judge.config), {}
    for title, paired in found.items():
        if paired is not None:
            values = paired.values(HEADLINE)
            columns[title] = {g.key: difference(*values, g.mask_N, judge.config) for g in groups}
    rows = [[g.label, *(_change(column[g.key]) for column in columns.values())] for g in groups]
    yield table(["users", *columns], rows)


def _change(change: Difference) -> str:
    share, plain = change.share(), change.change
    if share.mean != share.mean:
        return f"{plain.mean:+.4f} [{plain.low:+.4f}, {plain.high:+.4f}]"
    return f"{100 * share.mean:+.1f} % [{100 * share.low:+.1f}, {100 * share.high:+.1f}]"


def _tuning(judge: Judge) -> Iterable[str]:
    """Validation metrics of every setting."""
    rows = []
    for log in tables.LOGS:
        for model in tables.MODELS:
            for line in judge.results.ledger.lines(f"{log}-{model}"):
                if line["phase"] != TRAINED or line["seed"] != 0:
                    continue
                values = [f"{line['validation'][group]['ndcg@10']:.4f}" for group in ("all", "tail", "head")]
                rows.append([log, model, line["method"], line["setting"], *values, f"{line['seconds'] / line['busy']:.0f}"])
    if rows:
        yield "## Settings tried"
        yield table(["log", "backbone", "method", "setting", "all", "tail", "head", "seconds"], rows)


def main() -> None:
    """Write the page for a folder of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    options = parser.parse_args()
    write_page(options.results, options.page)


if __name__ == "__main__":
    main()
