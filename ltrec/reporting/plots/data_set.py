"""A prepared data set in one figure: strata, events per user, popularity of items, shards."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltrec.data.manifest import Manifest
from ltrec.data.overview import popularity
from ltrec.reporting.plots.style import Image, Theme, render

QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}
POINTS = 200


def data_figure(manifest: Manifest, count_V: npt.NDArray[np.int64]) -> Image:
    """The figure; `count_V` has the training events of every item, the most popular first."""
    lengths = manifest.summary["length_quantiles"]
    top = popularity(count_V).top
    return render(
        "data",
        partial(_paint, manifest=manifest, count_V=count_V),
        alt=f"{manifest.name}: strata with {', '.join(f'{users:,}' for users in manifest.strata.users)} users; "
        f"events per user, {', '.join(f'{name} {lengths[name]:,}' for name in QUANTILES)}; "
        f"the most popular items, {', '.join(f'{share:.0%} have {part:.0%} of the events' for share, part in top.items())}.",
        caption="Users and training events by stratum; events per user at every share of the users; training events of the "
        "most popular items, against equal popularity; sizes of the shards.",
        inches=(9.0, 6.4),
    )


def _paint(figure: Figure, theme: Theme, *, manifest: Manifest, count_V: npt.NDArray[np.int64]) -> None:
    ((strata, lengths), (items, shards)) = figure.subplots(2, 2)
    _strata(strata, theme, manifest)
    _lengths(lengths, theme, manifest)
    _popularity(items, theme, count_V)
    _shards(shards, theme, manifest)


def _strata(axes: Axes, theme: Theme, manifest: Manifest) -> None:
    found, where_K = manifest.strata, np.arange(manifest.strata.count)
    bars = ((-0.2, found.users, "users", theme.muted), (0.2, found.events, "training events", theme.heat))
    for shift, values, label, colour in bars:
        axes.bar(where_K + shift, np.array(values) / max(1, sum(values)), 0.38, label=label, color=colour)
    axes.set_xticks(where_K, labels=found.names(), fontsize=8)
    axes.set(title="Strata", xlabel="training events per user")
    _percent(axes)
    axes.legend(frameon=False, fontsize=8)


def _lengths(axes: Axes, theme: Theme, manifest: Manifest) -> None:
    lengths = manifest.summary["length_quantiles"]
    axes.plot(list(QUANTILES.values()), [lengths[name] for name in QUANTILES], "o-", color=theme.heat, markersize=4)
    axes.set_yscale("log")
    axes.set(title="Events per user", xlabel="share of users with at most so many")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")


def _popularity(axes: Axes, theme: Theme, count_V: npt.NDArray[np.int64]) -> None:
    reached = np.concatenate([[0.0], np.cumsum(count_V) / max(1, int(count_V.sum()))])
    at = np.unique(np.linspace(0, len(count_V), POINTS + 1).astype(np.int64))
    axes.plot([0, 1], [0, 1], color=theme.hairline)
    axes.plot(at / len(count_V), reached[at], color=theme.heat)
    axes.set(title="Popularity of items", xlabel="share of items, the most popular first", ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    _percent(axes)


def _shards(axes: Axes, theme: Theme, manifest: Manifest) -> None:
    sizes = sorted((shard.bytes / (1 << 20) for shard in manifest.shards), reverse=True)
    axes.bar(np.arange(len(sizes)), sizes, 0.8 if len(sizes) < POINTS else 1.0, color=theme.muted)
    axes.set(title="Shards", xlabel=f"{len(sizes):,} files, the largest first", ylabel="MiB")
    axes.set_xticks([])


def _percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
