"""`ltrec fetch NAME`: a public data set, hash-checked, or a synthetic log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ltrec.core.errors import UserError
from ltrec.data.fetch import DATASETS, SYNTHETIC, SyntheticConfig, fetch_synthetic
from ltrec.data.fetch import fetch as fetch_published
from ltrec.terminal.progress_row import StageBar, in_mb
from ltrec.terminal.screen import Screen, speaking


def fetch(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join([*DATASETS, SYNTHETIC])}.")],
    out: Annotated[Path | None, typer.Option(help="Folder for events.parquet; default data/raw/NAME.")] = None,
    users: Annotated[int | None, typer.Option(help="Synthetic: number of users.")] = None,
    items: Annotated[int | None, typer.Option(help="Synthetic: size of the catalogue.")] = None,
    seed: Annotated[int | None, typer.Option(help="Synthetic: the same seed gives the same log.")] = None,
    events_per_user: Annotated[float | None, typer.Option(help="Synthetic: mean number of events per user.")] = None,
) -> None:
    """Get an event log: a public data set from the first mirror that has it, or a synthetic one."""
    folder = out or Path("data/raw") / name
    options = {"users": users, "items": items, "seed": seed, "events_per_user": events_per_user}
    given = {key: value for key, value in options.items() if value is not None}
    with speaking() as screen:
        if name == SYNTHETIC:
            path = fetch_synthetic(_synthetic(given), folder)
        elif given:
            raise UserError(
                f"--{next(iter(given)).replace('_', '-')} shapes a synthetic log; {name} is what it is. Leave the option out"
            )
        else:
            path = _download(name, folder, screen)
        screen.remark((folder / "NOTICE.txt").read_text(encoding="utf-8"))
        screen.remark(f"events: {path}")


def _synthetic(options: dict[str, Any]) -> SyntheticConfig:
    try:
        return SyntheticConfig(**options)
    except ValueError as error:
        name, _, fault = str(error).partition(" ")
        raise UserError(f"--{name.replace('_', '-')} {fault}") from None


def _download(name: str, folder: Path, screen: Screen) -> Path:
    with StageBar(screen, in_mb) as bar:
        return fetch_published(name, folder, on_progress=bar.update, on_note=screen.note)
