"""`ltrec inspect DIR`: what is in a prepared data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ltrec
from ltrec.cli.options import AsJson, PreparedData
from ltrec.core.extension.deferred import Deferred
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.column_tables import print_columns
    from ltrec.cli.data_tables import print_data
else:
    print_columns = Deferred("ltrec.cli.column_tables:print_columns")
    print_data = Deferred("ltrec.cli.data_tables:print_data")


def inspect(
    folder: PreparedData,
    as_json: AsJson = False,
) -> None:
    """Show what is in a prepared data set: events, users, strata, and its columns with their values. Reads no shard."""
    with open_screen(for_scripts=as_json) as screen:
        data = ltrec.inspect(folder)
        print_data(data.manifest, screen)
        print_columns(data, screen)
        screen.info(f"data set: {data.address}  digest {data.digest[:16]}")
        screen.print_json(data.to_dict())
