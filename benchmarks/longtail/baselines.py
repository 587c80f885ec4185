"""What is ranked once for a log, since nothing in it is trained or drawn."""

from __future__ import annotations

from collections.abc import Callable

from ltrec.data.stream.histories import Score
from ltrec.evaluation.baselines import popularity
from ltrec.launch.build import Data

BASELINES: dict[str, Callable[[Data], Score]] = {
    "popularity": lambda data: popularity(data.vocabulary.train_count),
}
"""Name -> scorer of a data set."""
