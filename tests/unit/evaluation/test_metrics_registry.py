"""Metrics of one's own: measured after the usual ones, in every table and comparison that a config names them for."""

import numpy as np
import pytest
from rich.console import Console

from ltrec.cli.evaluation_tables import group_table as screen_table
from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.metrics import METRICS, USUAL, metric_values, per_user, title_of
from ltrec.evaluation.summary import summarise
from ltrec.reporting.tables import full_table, group_table
from tests.support.evaluation import eval_table

RANK, CANDIDATES = np.array([1, 4, 9]), np.array([10, 10, 10])


@pytest.fixture
def own():
    """A whole one that is not a share, and one at every cutoff."""
    METRICS.register("minus_log", title="-log rank", cut=False, whole=True, share=False, build=lambda r, n, k: -np.log(r))
    METRICS.register("gain", title="Gain", build=lambda r, n, k: np.where(r <= k, 2.0**-r, 0.0))
    yield EvaluationConfig(metrics=("minus_log", "gain"), bootstrap_samples=50)
    METRICS.remove("minus_log")
    METRICS.remove("gain")


def test_standard_metrics_keep_their_order_and_others_follow(own):
    usual = [*(f"{name}@{k}" for k in (5, 10) for name in ("hr", "recall", "ndcg", "mrr")), "mrr", "auc"]
    assert list(per_user(RANK, CANDIDATES, (5, 10))) == usual
    values = per_user(RANK, CANDIDATES, (5, 10), own.metrics)
    assert list(values) == [*usual, "gain@5", "gain@10", "minus_log"]
    assert values["gain@5"].tolist() == [0.5, 0.0625, 0.0]
    assert values["minus_log"].tolist() == (-np.log(RANK)).tolist()
    assert set(USUAL) <= set(METRICS)


def test_one_is_measured_by_its_key(own):
    assert metric_values("gain@5", RANK, CANDIDATES).tolist() == [0.5, 0.0625, 0.0]
    assert title_of("gain@5") == "Gain@5" and title_of("minus_log") == "-log rank" and title_of("coverage@5") is None
    for key in ("gain", "minus_log@5", "gain@0", "gain@x", "none"):
        with pytest.raises(UserError, match=f"{key!r} is not a metric"):
            metric_values(key, RANK, CANDIDATES)
    with pytest.raises(UserError, match=r"known: hr@k, ndcg@k, mrr@k, mrr, recall@k, auc, minus_log, gain@k$"):
        metric_values("none", RANK, CANDIDATES)


def table_of():
    return eval_table(1 + np.arange(60) % 20, 1 + np.arange(60) % 9)


def test_they_are_in_the_summary_the_tables_and_the_comparison(own):
    table = table_of()
    summary = summarise(table, own)
    found = summary.groups["all"].metrics
    assert -10 < found["minus_log"].low < found["minus_log"].mean < found["minus_log"].high < 0, "no share: not cut to 0..1"
    assert 0 <= found["gain@10"].low <= found["gain@10"].mean
    assert group_table(summary, {}).columns[-2:] == ("Gain@10", "-log rank")
    assert {"-log rank", "Gain@5"} <= {row.name for row in full_table(summary).rows}
    console = Console(width=200, record=True)
    console.print(screen_table(summary))
    assert "-log rank" in (shown := console.export_text()) and "Gain@10" in shown
    other = compare(base=[table], other=[table_of()], config=own)
    assert {"ndcg@10", "minus_log", "gain@10"} <= set(other.groups["all"].metrics)


@pytest.mark.parametrize("bad", [lambda r, n, k: np.full(len(r), np.nan), lambda r, n, k: 1.0, lambda r, n, k: np.ones(len(r) + 1)])
def test_a_metric_that_gives_no_number_per_user_is_refused(bad):
    METRICS.register("odd", title="Odd", build=bad)
    try:
        with pytest.raises(UserError, match=r"metric 'odd' of .* must return one finite number per user; for 3 users it returned"):
            metric_values("odd@5", RANK, CANDIDATES)
    finally:
        METRICS.remove("odd")


def test_a_config_names_only_what_is_registered():
    with pytest.raises(ValueError, match=r"metrics must be one of hr, ndcg, mrr, recall, auc; got 'ngcd' \(did you mean 'ndcg'"):
        EvaluationConfig(metrics=("ngcd",))
