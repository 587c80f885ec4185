"""`ltrec inspect DIR`: what is in a prepared data set."""

from __future__ import annotations

from ltrec.api.inspect import inspect as inspect_data
from ltrec.cli.column_tables import print_columns
from ltrec.cli.data_tables import print_data
from ltrec.cli.options import AsJson, PreparedData
from ltrec.terminal.screen import open_screen


def inspect(
    folder: PreparedData,
    as_json: AsJson = False,
) -> None:
    """Show what is in a prepared data set: events, users, strata, and its columns with their values. Reads no shard."""
    with open_screen(for_scripts=as_json) as screen:
        data = inspect_data(folder)
        print_data(data.manifest, screen)
        print_columns(data, screen)
        screen.info(f"data set: {data.path}  digest {data.digest[:16]}")
        screen.print_json(data.to_dict())
