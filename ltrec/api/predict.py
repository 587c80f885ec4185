"""`ltrec.predict`: the top k items of every known user, in raw ids."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.inference.predict import predict as write_predictions
from ltrec.run.build.components import build_histories, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.processes import detect
from ltrec.run.scoring.memory import memory_of
from ltrec.run.scoring.protocol import num_candidates
from ltrec.run.scoring.scorer import load_score
from ltrec.terminal.progress_row import PhaseBar


@dataclass(frozen=True, slots=True)
class Predictions(os.PathLike[str]):
    """Recommendations, in a file. They are accepted wherever the file is, and wherever an Arrow table is.

    Attributes:
        path: the Parquet file: user_id, rank (1 = best), item_id, score.
        rows: recommendations in it.
        k: most for one user.
        checkpoint: whose they are.
    """

    path: Path
    rows: int
    k: int
    checkpoint: Path

    def __fspath__(self) -> str:
        """The file."""
        return str(self.path)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows, for any library that reads Arrow streams."""
        return self.table().__arrow_c_stream__(requested_schema)

    def table(self) -> pa.Table:
        """The rows."""
        with pq.ParquetFile(self.path) as file:
            return file.read()

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        return {"predictions": str(self.path), "rows": self.rows, "k": self.k, "checkpoint": str(self.checkpoint)}


def predict(
    run: str | os.PathLike[str],
    *settings: str,
    out: str | os.PathLike[str] | None = None,
    k: int = 10,
    checkpoint: str = "best",
    data: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    progress: bool = False,
    **evaluation: Any,
) -> Predictions:
    """Recommend to every known user from the whole stored history.

    Args:
        run: the run folder.
        settings: `evaluation.key=value` overrides.
        out: the Parquet file to write; None = RUN/predictions/top-k.parquet.
        k: items per user.
        checkpoint: `best`, `last`, `previous`, or `stage1`: the best before plugins woke.
        data: where the data set lies now; None = where the run says.
        weights: `average` (with trainer.ema, the default) or `raw`.
        progress: show how far it is.
        evaluation: settings of evaluation in place of the run's own: filter_seen=False.

    Raises:
        UserError: the run, its checkpoint or its data is missing or damaged, or there are several processes.
    """
    folder = RunFolder(Path(run))
    path, place = folder.predictions if out is None else Path(out), None if data is None else Path(data)
    with session(progress=progress) as call, traceback_in(folder.path), PhaseBar(call.screen) as bar:
        processes = detect()
        if processes.world.size > 1:
            raise UserError("ltrec predict runs in one process; start it without torchrun")
        config = reopen(folder, [*settings, *overrides_of(evaluation, "evaluation")], place)
        opened, chosen = open_data(config), find_checkpoint(folder, checkpoint)
        memory = memory_of(folder, config, opened, chosen, processes, bar.update, weights=weights)
        rows = write_predictions(
            load_score(config, opened, chosen, processes, memory, weights=weights),
            build_histories(config, opened, "all"),
            opened.vocabulary.item_id,
            k=k,
            filter_seen=config.evaluation.filter_seen,
            out=path,
            items=num_candidates(config, opened),
            on_progress=lambda done, total: bar.update("ranking users", done, total),
        )
        return Predictions(path, rows, k, chosen)
