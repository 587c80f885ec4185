"""`ltrec fetch NAME`: a public data set, hash-checked, or a synthetic log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ltrec.core.errors import UserError
from ltrec.data.fetch import DATASETS, SYNTHETIC, SyntheticConfig, fetch_synthetic
from ltrec.data.fetch import fetch as fetch_published
from ltrec.launch.console import new_console


def fetch(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join([*DATASETS, SYNTHETIC])}.")],
    out: Annotated[Path | None, typer.Option(help="Folder for events.parquet; default data/raw/NAME.")] = None,
    users: Annotated[int | None, typer.Option(help="Synthetic: number of users.")] = None,
    items: Annotated[int | None, typer.Option(help="Synthetic: size of the catalogue.")] = None,
    seed: Annotated[int | None, typer.Option(help="Synthetic: the same seed gives the same log.")] = None,
    events_per_user: Annotated[float | None, typer.Option(help="Synthetic: mean number of events per user.")] = None,
) -> None:
    """Get an event log: a public data set from the first mirror that has it, or a synthetic one."""
    console = new_console(stderr=True)
    folder = out or Path("data/raw") / name
    options = {"users": users, "items": items, "seed": seed, "events_per_user": events_per_user}
    given = {key: value for key, value in options.items() if value is not None}
    if name == SYNTHETIC:
        path = fetch_synthetic(_synthetic(given), folder)
    elif given:
        raise UserError(
            f"--{next(iter(given)).replace('_', '-')} shapes a synthetic log; {name} is what it is. Leave the option out"
        )
    else:
        path = _download(name, folder, console)
    console.print((folder / "NOTICE.txt").read_text(encoding="utf-8"), style="dim", highlight=False, markup=False, soft_wrap=True)
    console.print(f"events: {path}", highlight=False, markup=False, soft_wrap=True)


def _synthetic(options: dict[str, Any]) -> SyntheticConfig:
    try:
        return SyntheticConfig(**options)
    except ValueError as error:
        name, _, fault = str(error).partition(" ")
        raise UserError(f"--{name.replace('_', '-')} {fault}") from None


def _download(name: str, folder: Path, console: Console) -> Path:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as progress:

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=None)
            progress.update(tasks[what], completed=done, total=total or None)

        def on_note(text: str) -> None:
            progress.console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)

        return fetch_published(name, folder, on_progress=on_progress, on_note=on_note)
