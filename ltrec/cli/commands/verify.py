"""`ltrec verify DIR`: check every byte and row of a prepared data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, PreparedData
from ltrec.core.extension.deferred import Deferred
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.data_tables import print_data
else:
    print_data = Deferred("ltrec.cli.data_tables:print_data")


def verify(
    folder: PreparedData,
    forgotten: Annotated[
        Path | None, typer.Option(help="File with a raw user id per line: none of them may be left anywhere.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte and every row of a prepared data set."""
    with open_screen(for_scripts=as_json) as screen:
        data = ltrec.verify(folder, forgotten=forgotten)
        print_data(data.manifest, screen)
        screen.info(f"{folder} is intact: {len(data.manifest.shards)} shards, digest {data.digest[:16]}")
        if forgotten is not None:
            screen.info(f"none of the users in {forgotten} is in any of its files")
        screen.print_json(data.to_dict())
