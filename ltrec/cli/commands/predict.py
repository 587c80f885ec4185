"""`ltrec predict RUN`: the top k for every known user, or for given histories, in raw ids, as Parquet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import ltrec
from ltrec.api.results.predictions import SHARD_USERS
from ltrec.cli.options import AsJson, Checkpoint, Data, EvaluationOverrides, OneRun, Weights
from ltrec.run.process.allocator import keep_freed_memory
from ltrec.terminal.screen import open_screen


def predict(
    run: OneRun,
    settings: EvaluationOverrides = None,
    histories: Annotated[str | None, typer.Option("--input", help="Parquet of histories: a row per event, or per user.")] = None,
    out: Annotated[
        str | None, typer.Option(help="With --input a folder; else a file, RUN/predictions/top-k.parquet; also s3://...")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items per user.")] = 10,
    allow: Annotated[Path | None, typer.Option(help="With --input: recommend the items of this file only.")] = None,
    deny: Annotated[Path | None, typer.Option(help="With --input: recommend no item of this file.")] = None,
    shard_users: Annotated[int, typer.Option(min=1, help="With --input: users per file.")] = SHARD_USERS,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --input: replace other predictions.")] = False,
    index: Annotated[str | None, typer.Option(help="Candidates from this index, which ltrec index made.")] = None,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Recommend items to every known user by the whole stored history, or to users whose histories are given."""
    keep_freed_memory()
    with open_screen(for_scripts=as_json) as screen:
        found = ltrec.predict(
            run,
            *(settings or []),
            histories=histories,
            out=out,
            k=k,
            allow=allow,
            deny=deny,
            shard_users=shard_users,
            overwrite=overwrite,
            index=index,
            checkpoint=checkpoint,
            data=data,
            weights=weights,
        )
        if os.environ.get("RANK", "0") != "0":  # of torchrun, or of srun's tasks by now: one process speaks
            return
        users = f" for {found.counts.users:,} users" if found.counts else ""
        screen.say(f"{found.rows:,} recommendations{users} of {found.checkpoint.name}: {found.path}")
        screen.print_json(found.to_dict())
