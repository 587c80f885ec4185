"""`ltrec fetch NAME`: a public data set, hash-checked, or a synthetic log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.api.fetch import fetch as fetch_log
from ltrec.data.fetch import DATASETS, SYNTHETIC
from ltrec.terminal.screen import open_screen


def fetch(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join([*DATASETS, SYNTHETIC])}.")],
    out: Annotated[Path | None, typer.Option(help="Folder for events.parquet; default data/raw/NAME.")] = None,
    users: Annotated[int | None, typer.Option(help="Synthetic: number of users.")] = None,
    items: Annotated[int | None, typer.Option(help="Synthetic: size of the catalogue.")] = None,
    seed: Annotated[int | None, typer.Option(help="Synthetic: the same seed gives the same log.")] = None,
    events_per_user: Annotated[float | None, typer.Option(help="Synthetic: mean number of events per user.")] = None,
    columns: Annotated[str | None, typer.Option(help="Synthetic: none, informative or noise.")] = None,
    category_share: Annotated[float | None, typer.Option(help="Synthetic: share of steps that columns predict.")] = None,
    new_items: Annotated[int | None, typer.Option(help="Synthetic: items that occur only as test targets.")] = None,
) -> None:
    """Get an event log: a public data set from the first mirror that has it, or a synthetic one."""
    with open_screen() as screen:
        log = fetch_log(
            name,
            out,
            users=users,
            items=items,
            seed=seed,
            events_per_user=events_per_user,
            columns=columns,
            category_share=category_share,
            new_items=new_items,
        )
        screen.info(log.notice)
        for what, path in (("events", log.events), ("items", log.items), ("users", log.users)):
            if path is not None:
                screen.info(f"{what}: {path}")
