"""`ltrec inspect DIR`: what is in a prepared data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, PreparedData
from ltrec.core.extension.deferred import Deferred
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.column_tables import print_columns
    from ltrec.cli.data_tables import print_data
    from ltrec.cli.overview_tables import print_overview
else:
    print_columns = Deferred("ltrec.cli.column_tables:print_columns")
    print_data = Deferred("ltrec.cli.data_tables:print_data")
    print_overview = Deferred("ltrec.cli.overview_tables:print_overview")


def inspect(
    folder: PreparedData,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also draw it: a self-contained page (.html) or an image (.png).", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in a prepared data set: events, users, strata, popularity of items, columns with their values, shard sizes.

    Reads no shard.
    """
    with open_screen(for_scripts=as_json) as screen:
        data = ltrec.inspect(folder, picture=picture)
        print_data(data.manifest, screen)
        print_overview(data, screen)
        print_columns(data, screen)
        screen.info(f"data set: {data.path}  digest {data.digest[:16]}")
        if picture is not None:
            screen.say(f"picture: {picture}")
        screen.print_json(data.to_dict())
