"""Panels from summaries and histories: each is a figure, or a sentence that explains why there is none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ltrec.core import columns as c
from ltrec.core.strata import Strata
from ltrec.evaluation.metrics import metric_name
from ltrec.evaluation.summary import Summary
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.method import SeedHistories
from ltrec.reporting.plots.grid import popularity_grid
from ltrec.reporting.plots.strata import Series, activity_histogram, metric_by_stratum
from ltrec.reporting.plots.training import SeedCurve, loss_curves, validation_curves
from ltrec.reporting.run_results import History
from ltrec.reporting.view import Panel, missing, shown

NO_METRICS = "No metrics.jsonl was found in the run folder, so there are no curves."


def activity_panel(table: EvalTable, strata: Strata) -> Panel:
    """Histogram of the evaluated users with training events."""
    activity = table.column(c.ACTIVITY).astype(np.int64)
    trained = activity[activity > 0]
    return shown(activity_histogram(trained, strata)) if len(trained) else missing("No evaluated user took part in training.")


def strata_panel(summary: Summary, strata: Strata, others: Mapping[str, Summary]) -> Panel:
    """The headline metric by stratum, of the method and what it is compared with."""
    users = [g.users for g in summary.strata()]
    if not any(users):
        return missing("No evaluated user belongs to a stratum.")
    model, *greys = (_series(name, s, summary.headline) for name, s in ((summary.name, summary), *others.items()))
    over = "users and seeds" if len(summary.seeds) > 1 else "users"
    return shown(metric_by_stratum(metric_name(summary.headline), strata, users, model, greys, over))


def grid_panel(summary: Summary) -> Panel:
    """User stratum x item popularity."""
    grid = summary.grid
    if not grid.users_KP.any():
        return missing("No evaluated user belongs to a stratum.")
    columns = [f"{name}\n{stratum}" for name, stratum in zip(grid.columns, grid.strata, strict=True)]
    return shown(popularity_grid(metric_name(grid.metric), grid.rows, columns, grid.mean_KP, grid.users_KP))


def loss_panel(histories: SeedHistories | None, strata_names: tuple[str, ...]) -> Panel:
    """Training loss, overall and by stratum."""
    if histories is None:
        return missing(NO_METRICS)
    axis = histories.axis()
    overall = histories.curve("train/loss", axis)
    if not len(overall.x):
        return missing("metrics.jsonl holds no train/loss, so there is no curve of it.")
    strata = {z: histories.curve(f"train/loss/{z}", axis) for z in histories.numbered("train/loss/")}
    names = strata_names or tuple(f"stratum {i}" for i in range(max(strata, default=-1) + 1))
    return shown(loss_curves(overall, {i: curve for i, curve in strata.items() if i < len(names)}, names, axis))


def validation_panel(histories: SeedHistories | None) -> Panel:
    """Validation NDCG@10, overall, tail and head."""
    if histories is None:
        return missing(NO_METRICS)
    key = next((k for k in sorted(histories.keys()) if k.startswith("val/ndcg@") and k.count("/") == 1), None)
    axis = histories.axis()
    if key is None or not len(histories.curve(key, axis).x):
        return missing("metrics.jsonl holds no val/ndcg, so there is no validation curve.")
    overall, tail, head = (histories.curve(key + part, axis) for part in ("", "/tail", "/head"))
    seeds = [SeedCurve(history.curve(key, axis), _asleep(history, key)) for history in histories.seeds]
    seeds = [seed for seed in seeds if len(seed.overall.x)]
    return shown(validation_curves(metric_name(key.removeprefix("val/")), overall, tail, head, axis, seeds))


def _asleep(history: History, key: str) -> int:
    return sum(line.get("stage") == 1 for line in history.lines if key in line)


def _series(label: str, summary: Summary, metric: str) -> Series:
    estimates = [g.metrics[metric] for g in summary.strata()]
    return Series(label, *(np.array([getattr(e, end) for e in estimates]) for end in ("mean", "low", "high")))
