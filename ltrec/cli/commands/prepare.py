"""`ltrec prepare SOURCE... --out DIR`: event logs to a prepared data set."""

from __future__ import annotations

import glob
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer

from ltrec.cli.data_tables import print_data
from ltrec.cli.json_answers import data_answer
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare as run_prepare
from ltrec.data.prepare.progress import MENDING, UNCHANGED
from ltrec.terminal.progress_row import StageBar
from ltrec.terminal.screen import speaking


def prepare(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE|CONF.yaml|key=value]...", help="Logs (files, globs, folders), config files, settings."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the data set; default data.path of the config.")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Config file such as conf/data/ml-100k.yaml; may be repeated.")] = None,
    user: Annotated[str | None, typer.Option(help="Column with the user id.")] = None,
    item: Annotated[str | None, typer.Option(help="Column with the item id.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="auto, s, ms, us, ns, iso or order.")] = None,
    time_format: Annotated[str | None, typer.Option(help="How times are written, such as '%m/%d/%Y %H:%M' (strptime).")] = None,
    split: Annotated[str | None, typer.Option(help="leave_one_out or global_time.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another data set in the output folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Turn event logs (CSV, TSV, JSON Lines, Parquet) into shards with strata and splits.

    Every option of the config section `prepare` may be given as key=value: min_user_events=5 history_cap=1000.
    """
    files, words, sources = sort_arguments(arguments or [])
    options = {"user": user, "item": item, "time": time, "time_unit": time_unit, "time_format": time_format, "split": split}
    words += [f"prepare.{key}={value}" for key, value in options.items() if value is not None]
    settings = load([*(config or []), *files], words)
    wanted = replace(settings.prepare, sources=tuple(sources) or settings.prepare.sources)
    folder = _folder(out, settings)
    heard: set[str] = set()
    with speaking(for_scripts=as_json) as screen:
        with StageBar(screen) as bar:

            def hear(stage: str, done: int, total: int) -> None:
                heard.add(stage)
                bar.update(stage, done, total)

            manifest = run_prepare(wanted, folder, hear, overwrite)
        if MENDING in heard:
            screen.remark(f"{folder} was damaged and has been prepared anew")
        if UNCHANGED in heard:
            screen.remark(f"{folder} is up to date: the same sources and options; nothing was done")
        print_data(manifest, screen)
        screen.remark(f"data set: {folder}  digest {manifest.digest[:16]}")
        screen.answer(data_answer(folder, manifest, up_to_date=UNCHANGED in heard))


def sort_arguments(arguments: list[str]) -> tuple[list[Path], list[str], list[str]]:
    """Words of the command line as (config files, key=value words, sources). What exists on disk is never a setting.

    A key that names an option of prepare may leave out its section: `history_cap=100` is `prepare.history_cap=100`.
    """
    own = {f.name for f in fields(PrepareConfig)}
    files: list[Path] = []
    words: list[str] = []
    sources: list[str] = []
    for argument in arguments:
        key = argument.partition("=")[0]
        if Path(argument).suffix in (".yaml", ".yml") and "=" not in argument:
            files.append(Path(argument))
        elif "=" in argument and not Path(argument).exists() and not glob.glob(argument):
            words.append(f"prepare.{argument}" if key in own or "." not in key else argument)
        else:
            sources.append(argument)
    return files, words, sources


def _folder(out: Path | None, settings: RunConfig) -> Path:
    if out is None and not settings.data.path:
        raise UserError("where to? name the folder with --out DIR, or data.path in a config file")
    return out or Path(settings.data.path)
