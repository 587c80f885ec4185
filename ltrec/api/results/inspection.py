"""What is in a prepared data set, as `ltrec.inspect` returns it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.api.results.dataset import Dataset
from ltrec.data.overview import Popularity, ShardSizes


@dataclass(frozen=True, slots=True)
class Inspection(Dataset):
    """A prepared data set, with what a look at it shows.

    Attributes:
        count_V: training events of every item, the most popular first.
        popularity: how they are spread over the items.
        shard_sizes: shards by stratum.
    """

    count_V: npt.NDArray[np.int64] = field(kw_only=True, repr=False, compare=False)
    popularity: Popularity = field(kw_only=True)
    shard_sizes: list[ShardSizes] = field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        s, source = self.manifest.summary, self.manifest.source
        timed = source.get("time_unit") != "order"
        return {
            **Dataset.to_dict(self),
            "engine": self.manifest.made_by or "duckdb",
            "lineage": [dict(step) for step in self.manifest.lineage],
            "period": {"first": s["first_time"], "last": s["last_time"]} if timed else None,
            "lengths": dict(s["length_quantiles"]),
            "ties": _ties(s.get("ties")),
            "popularity": {**asdict(self.popularity), "top": {f"{share:g}": part for share, part in self.popularity.top.items()}},
            "shards": [asdict(sizes) for sizes in self.shard_sizes],
        }


def _ties(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Statistics of ties; None in data sets of older versions."""
    names = {"events": "events", "share": "share", "pairs": "pairs", "ascending": "rising", "rule": "rule"}
    return found and {name: found[key] for name, key in names.items()}
