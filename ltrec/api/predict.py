"""`ltrec.predict`: the top k items for every known user, or for given histories, in raw ids."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltrec.api.inputs.given_histories import ItemIdsOrFile, lists_of, recommend_to
from ltrec.api.inputs.stores import file_for, folder_for, shown_place
from ltrec.api.results.predictions import SHARD_USERS, Predictions
from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.core.storage.run_folder import RunFolder
from ltrec.inference.counts import Counts
from ltrec.inference.item_lists import ItemLists
from ltrec.inference.job import PREDICTED
from ltrec.inference.lists import ListRules
from ltrec.inference.nearest.folder import held_index
from ltrec.inference.predict import predict as write_predictions
from ltrec.run.build.components import build_histories, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.nearest.use import ranking_of
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.detect import detect
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.protocol import num_candidates
from ltrec.terminal.progress_row import PhaseBar
from ltrec.terminal.screen import note


def predict(
    run: str | os.PathLike[str],
    *settings: str,
    histories: Any = None,
    out: str | os.PathLike[str] | None = None,
    k: int = 10,
    allow: ItemIdsOrFile | None = None,
    deny: ItemIdsOrFile | None = None,
    shard_users: int = SHARD_USERS,
    overwrite: bool = False,
    index: str | os.PathLike[str] | None = None,
    checkpoint: str = "best",
    data: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    progress: bool = False,
    **evaluation: Any,
) -> Predictions:
    """Recommend to every known user from the whole stored history, or to users with given histories.

        ltrec.predict("runs/mine", histories="today/*.parquet", out="answers", k=50)

    Args:
        run: the run folder.
        settings: `evaluation.key=value` overrides.
        histories: Parquet files (a path, a folder, a pattern, also in a store) or a table, in raw ids: a row per event (user_id,
            item_id, timestamp), or per user with lists; None = the users of the data set.
        out: where to write, also in a store (s3://...): of given histories a folder, RUN/predictions/histories by default; else a
            file, RUN/predictions/top-k.parquet.
        k: items per user.
        allow: recommend these items only: raw ids, or a file of them. With histories only, as the next three.
        deny: do not recommend these.
        shard_users: users per file.
        overwrite: replace other predictions in the folder.
        index: what `ltrec.index` made of these weights, also in a store: candidates come from it, and only these are scored; None =
            all items are.
        checkpoint: `best`, `last`, `previous`, or `stage1`: the best before plugins woke.
        data: folder of the data set; None = that of the run's config.
        weights: `average` (with trainer.ema, the default) or `raw`.
        progress: show how far it is.
        evaluation: settings of evaluation in place of the run's own: filter_seen=False.

    Raises:
        UserError: the run, its checkpoint, its data or the histories are missing or damaged.
    """
    folder, overrides = RunFolder(Path(run)), [*settings, *overrides_of(evaluation, "evaluation")]
    place = None if data is None else os.fspath(data)
    with session(progress=progress) as call, traceback_in(folder.path), ExitStack() as held:
        processes = detect()
        bar = held.enter_context(PhaseBar(call.screen, quiet=processes.world.rank > 0))
        nearest = None if index is None else held.enter_context(held_index(index))
        if histories is None:
            if allow is not None or deny is not None:
                raise UserError("lists of items to allow or deny need histories (--input)")
            target = folder.predictions if out is None else out
            with file_for(target) as file:
                at = (folder, overrides, place, checkpoint)
                found = _known_users(*at, file, k, nearest, processes, bar.update, weights=weights)
        else:
            target, lists = folder.given_predictions if out is None else out, lists_of(allow, deny)
            kept, uploads = folder.predictions_for(os.fspath(target)), processes.world.rank == 0
            with folder_for(target, PREDICTED, overwrite=overwrite, kept=kept, uploads=uploads) as to:
                request = {"out": to, "k": k, "lists": lists, "shard_users": shard_users, "overwrite": overwrite, "index": nearest}
                at = (folder, overrides, place, checkpoint)
                found = recommend_to(*at, histories, request, processes, bar.update, weights=weights)
        return replace(found, path=shown_place(target))


def _known_users(
    folder: RunFolder,
    overrides: list[str],
    place: str | None,
    checkpoint: str,
    out: Path,
    k: int,
    index: Path | None,
    processes: Processes,
    on_progress: Progress,
    *,
    weights: str | None,
) -> Predictions:
    """The users of the data set, in one process."""
    if processes.world.size > 1:
        raise UserError("ltrec predict serves the users of its data in one process; start it without torchrun, or give --input")
    config = reopen(folder, overrides, place)
    opened, chosen = open_data(config), find_checkpoint(folder, checkpoint)
    first, names = num_candidates(config, opened), opened.vocabulary.item_id
    rules = ListRules(k, config.evaluation.filter_seen, ItemLists().allowed(names, first))
    make_ranking, own = ranking_of(folder, config, opened, chosen, rules, index, processes, on_progress, weights=weights)
    ranking = make_ranking()
    rows = write_predictions(
        ranking,
        build_histories(config, opened, "all"),
        names,
        out=out,
        index=own.get("index", ""),
        on_progress=lambda done, total: on_progress("ranking users", done, total),
    )
    for line in Counts(exact=ranking.exact_users).notes():
        note(line)
    return Predictions(out, rows, k, chosen)
