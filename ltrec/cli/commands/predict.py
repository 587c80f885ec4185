"""`ltrec predict RUN`: the top k of every known user, in raw ids, as one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.core.errors import UserError
from ltrec.core.run_folder import RunFolder
from ltrec.inference.predict import predict as write_predictions
from ltrec.run.build.components import build_histories, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.processes import detect
from ltrec.run.scoring.memory import memory_of
from ltrec.run.scoring.scorer import load_score
from ltrec.terminal.progress_row import StageBar
from ltrec.terminal.screen import speaking


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(help="evaluation.key=value words.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file to write; default RUN/predictions/top-k.parquet.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items per user.")] = 10,
    checkpoint: Annotated[str, typer.Option(help="best, last, previous, or stage1: the best before plugins woke.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Where the data set lies now; default: where the run says.")] = None,
    weights: Annotated[str | None, typer.Option(help="average (with trainer.ema, the default) or raw.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Recommend to every known user from the whole stored history: user_id, rank, item_id, score."""
    processes = detect()
    if processes.world.size > 1:
        raise UserError("ltrec predict runs in one process; start it without torchrun")
    folder = RunFolder(run)
    config = reopen(folder, settings or [], data)
    opened = open_data(config)
    path, chosen = out or folder.predictions, find_checkpoint(folder, checkpoint)
    with speaking(for_scripts=as_json) as screen, traceback_in(folder.path):
        with StageBar(screen) as bar:
            memory = memory_of(folder, config, opened, chosen, processes, bar.update, weights=weights)
            rows = write_predictions(
                load_score(config, opened, chosen, processes, memory, weights=weights),
                build_histories(config, opened, "all"),
                opened.vocabulary.item_id,
                k=k,
                filter_seen=config.evaluation.filter_seen,
                out=path,
                on_progress=lambda done, total: bar.update("ranking users", done, total),
            )
        screen.say(f"{rows:,} recommendations of {chosen.name}: {path}")
        screen.answer({"predictions": str(path), "rows": rows, "k": k, "checkpoint": str(chosen)})
