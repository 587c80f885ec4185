"""`ltrec verify DIR`: re-hash and re-check every byte and row of a prepared data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.data.verify import verify as run_verify
from ltrec.launch.console import new_console
from ltrec.launch.data_tables import print_data
from ltrec.launch.stage_bar import StageBar


def verify(folder: Annotated[Path, typer.Argument(help="Folder that ltrec prepare wrote.")]) -> None:
    """Check every byte and every row of a prepared data set."""
    console = new_console(stderr=True)
    with StageBar(console) as bar:
        manifest = run_verify(folder, bar.update)
    print_data(manifest, new_console())
    console.print(
        f"{folder} is intact: {len(manifest.shards)} shards, digest {manifest.digest[:16]}", highlight=False, soft_wrap=True
    )
