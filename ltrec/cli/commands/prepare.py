"""`ltrec prepare SOURCE... --out DIR`: turn event logs into a prepared data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ltrec
from ltrec.cli.options import AsJson
from ltrec.core.extension.deferred import Deferred
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.data_tables import print_data
else:
    print_data = Deferred("ltrec.cli.data_tables:print_data")


def prepare(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE|CONF.yaml|key=value]...", help="Logs (files, globs, folders), config files, settings."),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder or address of the data set; default data.path of the config.")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Config file such as conf/data/ml-100k.yaml; may be repeated.")] = None,
    user: Annotated[str | None, typer.Option(help="Column with the user id.")] = None,
    item: Annotated[str | None, typer.Option(help="Column with the item id.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="auto, s, ms, us, ns, iso or order.")] = None,
    time_format: Annotated[str | None, typer.Option(help="Format of times, such as '%m/%d/%Y %H:%M' (strptime).")] = None,
    split: Annotated[str | None, typer.Option(help="leave_one_out or global_time.")] = None,
    engine: Annotated[str | None, typer.Option(help="What sorts the log: duckdb (default) or spark.")] = None,
    append: Annotated[
        Path | None, typer.Option(help="Data set that the logs come after: --out becomes both, item ids stay.")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Prepared data set whose item ids and strata thresholds are kept.")] = None,
    recut: Annotated[bool, typer.Option("--recut", help="With --append or --like: cut strata and measure columns anew.")] = False,
    reach: Annotated[
        bool, typer.Option("--reach", help="With --append: measure how far targets are from histories, over all events.")
    ] = False,
    forget_users: Annotated[Path | None, typer.Option(help="File of raw user ids, one a line, to remove from --out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another data set in the output folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn event logs (CSV, TSV, JSON Lines, Parquet) into shards with strata and splits.

    A new day: ltrec prepare monday.csv --append data/mine --out data/mine-monday
    Users who want to be forgotten: ltrec prepare --forget-users gone.txt --out data/mine
    Every option of the config section `prepare` may be given as key=value: min_user_events=5 history_cap=1000.
    """
    options = {"user": user, "item": item, "time": time, "time_unit": time_unit, "time_format": time_format, "split": split}
    options["engine"] = engine
    overrides = [f"prepare.{key}={value}" for key, value in options.items() if value is not None]
    more: dict[str, Any] = {"out": out, "overwrite": overwrite, "append": append, "like": like}
    more |= {"recut": recut, "reach": reach}
    with open_screen(for_scripts=as_json) as screen:
        data = ltrec.prepare(*(config or []), *(arguments or []), *overrides, forget_users=forget_users, **more)
        for line in _lines(data):
            screen.info(line)
        print_data(data.manifest, screen)
        screen.info(f"data set: {data.address}  digest {data.digest[:16]}")
        screen.print_json(data.to_dict())


def _lines(data: ltrec.Dataset) -> Iterator[str]:
    """What was done besides preparing, or instead."""
    if data.forgotten is not None:
        yield data.forgotten.line()
    elif data.up_to_date:
        yield f"{data.address} is up to date: the same sources and options; nothing was done"
    if data.mended:
        yield f"{data.address} was damaged and has been prepared again"
