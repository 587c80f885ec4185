"""`ltrec.predict` for given histories, as files or as a table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ltrec.api.evaluate import RENDEZVOUS_SECONDS, facts_of
from ltrec.api.inputs.tables import is_table, path_of, write_log
from ltrec.api.results.predictions import Predictions
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.core.storage.remote.url import is_url
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.download import spool
from ltrec.distributed.collectives import by_first
from ltrec.inference.item_lists import ItemLists, read_item_list
from ltrec.run.build.components import open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.predict import Request, predict_histories
from ltrec.run.process.processes import process_group
from ltrec.run.process.rendezvous import join_ranks
from ltrec.run.process.rendezvous_env import Processes
from ltrec.terminal.screen import note

ItemIdsOrFile = str | os.PathLike[str] | Iterable[Any]
"""A file of raw item ids, or the ids."""


def recommend_to(
    folder: RunFolder,
    overrides: list[str],
    data: str | None,
    checkpoint: str,
    histories: Any,
    request: dict[str, Any],
    processes: Processes,
    on_progress: Progress,
    *,
    weights: str | None,
) -> Predictions:
    """Answer given histories with a run, as one of its processes.

    Args:
        folder: the run.
        overrides: settings of evaluation.
        data: folder of the data set; None = that of the run's config.
        checkpoint: which.
        histories: Parquet files, or a table.
        request: of `run.predict.Request`, without the source.
        processes: this process among all.
        on_progress: called with how far it is.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: anything the caller can mend.
    """
    out: Path = request["out"]
    rendezvous = join_ranks(processes, RENDEZVOUS_SECONDS, say=note)  # kept: the process group uses its store
    with rendezvous.agree() as facts:
        config = reopen(folder, overrides, data)
        chosen = find_checkpoint(folder, checkpoint)
        facts |= _facts(folder, config, checkpoint, request, processes) | {"--weights": str(weights)}
    with process_group(processes), _as_files(histories, out, processes) as source:
        opened, wanted = open_data(config), Request(source=source, **request)
        counts = predict_histories(folder, config, opened, chosen, wanted, processes, on_progress, weights=weights)
    if processes.world.rank == 0:
        for line in counts.notes():
            note(line)
    return Predictions(out, counts.recommendations, wanted.k, chosen, counts)


def item_list(given: ItemIdsOrFile | None) -> pa.Array | None:
    """Raw ids, from a file or a sequence.

    Raises:
        UserError: a file that holds none, or ids of mixed types.
    """
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        return read_item_list(Path(given))
    try:
        return given if isinstance(given, pa.Array) else pa.array([*given])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise UserError("the ids of a list of items must be of one type, text or numbers") from None


def lists_of(allow: ItemIdsOrFile | None, deny: ItemIdsOrFile | None) -> ItemLists:
    """Both lists."""
    return ItemLists(item_list(allow), item_list(deny))


def _facts(folder: RunFolder, config: RunConfig, which: str, request: dict[str, Any], processes: Processes) -> dict[str, str]:
    """Values that must be equal on all ranks."""
    if processes.world.size == 1:
        return {}
    asked = {key: str(value) for key, value in request.items() if key != "lists"}
    return {**facts_of({folder.path: config}, which), **asked, "the lists of items": str(request["lists"].identity())}


@contextmanager
def _as_files(histories: Any, out: Path, processes: Processes) -> Iterator[Path]:
    """The files; a table is written to a temporary file beside the answer, and files of a store are copied there."""
    is_stored = not is_table(histories) and is_url(path_of(histories))
    if not is_table(histories) and not is_stored:
        yield Path(path_of(histories))
        return
    if not is_stored and processes.world.size > 1:
        raise UserError("histories are a table, which each of several processes would read; give files")
    place = out / ".histories"
    place.mkdir(parents=True, exist_ok=True)
    try:
        if is_stored:
            yield by_first(lambda: Path(spool(path_of(histories), place, CacheConfig())))
        else:
            write_log(histories, place / "histories.parquet")
            yield place / "histories.parquet"
    finally:
        if processes.world.rank == 0:
            shutil.rmtree(place, ignore_errors=True)
            if not any(out.iterdir()):
                out.rmdir()
