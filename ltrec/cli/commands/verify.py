"""`ltrec verify DIR`: re-hash and re-check every byte and row of a prepared data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.cli.data_tables import print_data
from ltrec.cli.json_answers import data_answer
from ltrec.data.verify.dataset import verify as run_verify
from ltrec.terminal.progress_row import StageBar
from ltrec.terminal.screen import speaking


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder that ltrec prepare wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Check every byte and every row of a prepared data set."""
    with speaking(for_scripts=as_json) as screen:
        with StageBar(screen) as bar:
            manifest = run_verify(folder, bar.update)
        print_data(manifest, screen)
        screen.remark(f"{folder} is intact: {len(manifest.shards)} shards, digest {manifest.digest[:16]}")
        screen.answer(data_answer(folder, manifest, up_to_date=True))
