"""The baselines of a run, whose counts are kept in its folder."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from ltrec.core.progress import Progress, silent
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.stream.reading.histories import Score
from ltrec.evaluation.baselines import COUNTED, DECAY, LAST, item_knn, last_item, popularity, transitions
from ltrec.run.build.components import Data
from ltrec.run.scoring.neighbour_counts import load_or_count


def baseline_source(name: str) -> dict[str, Any]:
    """Metadata of a baseline for its table, as JSON values; with other counting options it is another baseline."""
    counting = {"counting": asdict(COUNTED[name]), "decay": DECAY, "last": LAST} if name in COUNTED else {}
    return {"name": name, "scorer": name, **counting}


def baseline_score(name: str, run: RunFolder, data: Data, on_progress: Progress = silent) -> Score:
    """A baseline's scores. Collective: every process must call it.

    Raises:
        UserError: the data are damaged.
    """
    train_count = data.vocabulary.train_count
    if name == "popularity":
        return popularity(train_count)
    if name == "last-item":
        return last_item(data.manifest.vocab.items)

    score = {"transitions": transitions, "item-knn": item_knn}[name]
    path = run.baseline_neighbours(name)
    return score(load_or_count(path, COUNTED[name], data, partial(on_progress, f"counting for {name}")), train_count)
