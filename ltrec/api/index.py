"""`ltrec.index`: nearest neighbours among a run's item vectors, with what they find and miss."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltrec.api.inputs.stores import folder_for, shown_place
from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.inference.nearest.folder import INDEX
from ltrec.inference.nearest.measure import Recall
from ltrec.inference.nearest.options import DEFAULTS, IndexOptions
from ltrec.run.build.components import open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.nearest.make import IndexRequest, MadeIndex, index_run
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.detect import detect
from ltrec.terminal.progress_row import PhaseBar

USERS = 2_000


@dataclass(frozen=True, slots=True)
class Indexed(os.PathLike[str]):
    """An index of item vectors. It is accepted wherever its folder is.

    Attributes:
        path: the folder; text, if it is an address.
        checkpoint: whose vectors it holds.
        k: length of the lists that were compared.
        seed: that drew the users.
        least: recall that every stratum had to reach; None = none.
        made: options, size, times, and recall by part.
    """

    path: Path | str
    checkpoint: Path
    k: int
    seed: int
    least: float | None
    made: MadeIndex

    def __fspath__(self) -> str:
        """The folder."""
        return str(self.path)

    @property
    def recall(self) -> dict[str, Recall]:
        """Of the k best items by group of users (`all`, `tail`, `stratum=0`, ...) and of items (`item=new`, `item=tail`, ...)."""
        return dict(self.made.measured.recall)

    @property
    def reached(self) -> bool | None:
        """Whether every stratum reaches the wanted recall; None if none was named."""
        return None if self.least is None else self.made.measured.least >= self.least

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        made, measured = self.made, self.made.measured
        return {
            "index": str(self.path),
            "checkpoint": str(self.checkpoint),
            "items": made.items,
            "options": asdict(made.options),
            "instructions": made.instructions,
            "bytes": made.bytes,
            "build_seconds": round(made.build_seconds, 3),
            "k": self.k,
            "split": made.split,
            "users": made.users,
            "seed": self.seed,
            "recall": {key: found.to_dict() for key, found in self.recall.items()},
            "wanted": self.least,
            "reached": self.reached,
            "ms_per_user": round(1e3 * measured.seconds / max(1, made.users), 4),
            "exact_ms_per_user": round(1e3 * measured.exact_seconds / max(1, made.users), 4),
            "speed_up": round(measured.speed_up, 3),
            "exact_users": measured.exact_users,
        }


def index(
    run: str | os.PathLike[str],
    *settings: str,
    out: str | os.PathLike[str] | None = None,
    k: int = 10,
    recall: float | None = None,
    users: int = USERS,
    seed: int = 0,
    checkpoint: str = "best",
    data: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    connectivity: int = DEFAULTS.connectivity,
    expansion_build: int = DEFAULTS.expansion_build,
    expansion_search: int = DEFAULTS.expansion_search,
    dtype: str = DEFAULTS.dtype,
    threads: int = DEFAULTS.threads,
    **evaluation: Any,
) -> Indexed:
    """Build an index of a run's item vectors, and compare its lists with those of the full ranking.

        found = ltrec.index("runs/mine", recall=0.95)
        ltrec.predict("runs/mine", index=found)

    Args:
        run: the run folder.
        settings: `evaluation.key=value` overrides.
        out: the folder, or an address such as s3://bucket/index; None = RUN/index.
        k: length of the lists that are compared.
        recall: share of the best k items that must be found for every stratum of users and of items: searches keep more items in
            view until it is; the result says whether it is.
        users: at most about so many of the test split are compared, as many of every stratum.
        seed: draws them.
        checkpoint: `best`, `last`, `previous`, or `stage1`: the best before plugins woke.
        data: where the data set lies now; None = where the run says.
        weights: `average` (with trainer.ema, the default) or `raw`.
        overwrite: replace an index in the folder.
        progress: show how far it is.
        connectivity: edges of an item.
        expansion_build: items kept in view while one is inserted.
        expansion_search: items kept in view in a search.
        dtype: of the vectors in the index: `f32`, `f16` or `i8`; scores are those of the model's own.
        threads: that build; 0 = all of this process. With one the file is the same every time.
        evaluation: settings of evaluation in place of the run's own: filter_seen=False.

    Raises:
        UserError: the run, its checkpoint or its data are missing or damaged, or its model cannot be searched so.
    """
    options = _options(connectivity, expansion_build, expansion_search, dtype, threads)
    folder, overrides = RunFolder(Path(run)), [*settings, *overrides_of(evaluation, "evaluation")]
    with session(progress=progress) as call, traceback_in(folder.path), PhaseBar(call.screen) as bar:
        processes = detect()
        if processes.world.size > 1:
            raise UserError("ltrec index runs in one process; start it without torchrun")
        config = reopen(folder, overrides, data)
        opened, chosen = open_data(config), find_checkpoint(folder, checkpoint)
        place = folder.index if out is None else out
        with folder_for(place, INDEX, overwrite=overwrite) as target:
            request = IndexRequest(target, options, k, recall, users, seed, overwrite)
            made = index_run(config, opened, chosen, request, processes, bar.update, weights=weights)
        return Indexed(shown_place(place), chosen, k, seed, recall, made)


def _options(connectivity: int, expansion_build: int, expansion_search: int, dtype: Any, threads: int) -> IndexOptions:
    try:
        return IndexOptions(connectivity, expansion_build, expansion_search, dtype, threads)
    except ValueError as error:
        raise UserError(f"ltrec index: {error}") from None
