"""`ltrec.prepare`: event logs, as files or as tables in memory, to a prepared data set."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from ltrec.api.inputs.tables import ArrowStream, is_table, path_of, write_log
from ltrec.api.results.dataset import Dataset
from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.config.keys.arguments import PREPARING, speaking_keys
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url
from ltrec.data.forget.pipeline import forget
from ltrec.data.forget.users import read_users
from ltrec.data.prepare.append.pipeline import append as append_logs
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare as prepare_logs
from ltrec.data.prepare.progress import MENDING, UNCHANGED
from ltrec.data.prepare.remote import local_logs, prepare_to
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import cache_folder, open_folder
from ltrec.terminal.progress_row import PhaseBar
from ltrec.terminal.screen import Screen


def prepare(
    *sources: str | os.PathLike[str] | ArrowStream,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    append: str | os.PathLike[str] | None = None,
    like: str | os.PathLike[str] | None = None,
    recut: bool = False,
    reach: bool = False,
    forget_users: str | os.PathLike[str] | None = None,
    progress: bool = False,
    **options: Any,
) -> Dataset:
    """Turn event logs into shards with strata and splits; does nothing when they are there already, unchanged and undamaged.

        ltrec.prepare("logs/*.csv", out="data/mine", user="customer", min_item_events=5)
        ltrec.prepare(dataframe, out="data/mine", time_unit="s")
        ltrec.prepare("conf/data/ml-100k.yaml")
        ltrec.prepare("logs/monday.csv", append="data/mine", out="data/mine-monday")
        ltrec.prepare(forget_users="gone.txt", out="data/mine")

    Args:
        sources: logs: files, globs and folders (CSV, TSV, JSON Lines, Parquet), also in a store (s3://...), or tables of a row per
            event; and config files.
        out: folder or address of the data set; None = `data.path` of the config.
        overwrite: replace another data set in that folder.
        append: a prepared data set that the logs come after: `out` becomes both together, at the cost of the new events and the
            users they touch. Item ids and thresholds of strata stay, and its options hold; tables of items and users are the day's.
        like: a data set from which item ids and thresholds of strata are taken; the logs are all events.
        recut: with `append` or `like`, cut the thresholds of strata and measure columns anew over all users.
        reach: with `append`, measure how far targets are from histories; it reads all events.
        forget_users: a file with a raw user id per line: they are removed from the data set in `out`, in place; no log is read.
        progress: show how far it is.
        options: fields of the config section `prepare`.

    Raises:
        UserError: anything the caller can mend: sources, columns, too many rejects, another data set in `out`, a full disk.
    """
    with session(progress=progress) as call, tempfile.TemporaryDirectory(prefix="ltrec-logs-") as folder:
        files, overrides, logs = sort_arguments([_place(source, Path(folder), i) for i, source in enumerate(sources)])
        settings = load(files, overrides + overrides_of(options, "prepare"), where=call.where)
        if forget_users is not None:
            _refuse_logs(logs, append, like)
            return _forgotten(_place_of(out, settings), Path(forget_users), settings.data.cache, call.screen)
        wanted = replace(settings.prepare, sources=tuple(logs) or settings.prepare.sources)
        with speaking_keys(settings, PREPARING):
            first, second = (None if place is None else Path(place) for place in (append, like))
            earlier = _Earlier(first, second, recut, reach)
            return _prepared(wanted, _place_of(out, settings), settings.data.cache, overwrite, call.screen, earlier)


def _refuse_logs(logs: Sequence[str], append: object, like: object) -> None:
    if logs or append or like:
        what = f"the log {logs[0]}" if logs else "--append" if append else "--like"
        raise UserError(
            f"--forget-users changes the data set in --out and reads no log; leave out {what}, or do one after the other"
        )


def _forgotten(out: str, users: Path, cache: CacheConfig, screen: Screen) -> Dataset:
    """Forget users, also in this node's cache."""
    if is_url(out):
        raise UserError(f"{out}: --forget-users works on folders; copy the data set to a disk, and the result back")
    with PhaseBar(screen) as bar:
        done = forget(Path(out), read_users(users), bar.update)
    with suppress(UserError):  # a cache that is not configured here
        done.evict(cache_folder(cache))
    return Dataset.of(Path(out), done.manifest, up_to_date=done.manifest is done.before, forgotten=done)


class _Earlier(NamedTuple):
    """An earlier data set, to append to or to take ids from."""

    append: Path | None
    like: Path | None
    recut: bool
    reach: bool

    def refuse(self, out: str) -> None:
        """Refuse what cannot be.

        Raises:
            UserError: both are given, or one of them or `out` is in a store.
        """
        if self.append and self.like:
            raise UserError("--append takes item ids from the data set that it names; leave out --like")
        if self.recut and not (self.append or self.like):
            raise UserError("--recut goes with --append or --like; a prepare of its own cuts strata anyway")
        if self.reach and not self.append:
            raise UserError("--reach goes with --append; every other prepare measures the reach of targets anyway")
        places = [out, *(os.fspath(place) for place in (self.append, self.like) if place)]
        if (self.append or self.like) and (remote := next((place for place in places if is_url(place) or ":/" in place), None)):
            raise UserError(f"{remote}: --append and --like work on folders; copy the data set to a disk, and the result back")


def sort_arguments(arguments: Sequence[str]) -> tuple[list[Path], list[str], list[str]]:
    """Arguments of a call as (config files, key=value overrides, sources). What exists on disk is never a setting.

    A key that names an option of prepare may leave out its section: `history_cap=100` is `prepare.history_cap=100`.
    """
    own = {f.name for f in fields(PrepareConfig)}
    files: list[Path] = []
    overrides: list[str] = []
    sources: list[str] = []
    for argument in arguments:
        key = argument.partition("=")[0]
        if is_url(argument):
            sources.append(argument)
        elif Path(argument).suffix in (".yaml", ".yml") and "=" not in argument:
            files.append(Path(argument))
        elif "=" in argument and not Path(argument).exists() and not glob.glob(argument):
            overrides.append(f"prepare.{argument}" if key.partition(".")[0] in own or "." not in key else argument)
        else:
            sources.append(argument)
    return files, overrides, sources


def _prepared(config: PrepareConfig, out: str, cache: CacheConfig, overwrite: bool, screen: Screen, earlier: _Earlier) -> Dataset:
    earlier.refuse(out)
    heard: set[str] = set()
    with PhaseBar(screen) as bar:

        def hear(stage: str, done: int, total: int) -> None:
            heard.add(stage)
            bar.update(stage, done, total)

        with local_logs(config, cache, hear) as local:
            if earlier.append:
                manifest = append_logs(local, earlier.append, Path(out), hear, overwrite, earlier.recut, earlier.reach)
            elif is_url(out):
                manifest = prepare_to(out, local, cache, hear, overwrite=overwrite)
            else:
                manifest = prepare_logs(local, Path(out), hear, overwrite, earlier.like, earlier.recut)
    folder = open_folder(out, cache)
    return Dataset.of(folder, manifest, up_to_date=UNCHANGED in heard, mended=MENDING in heard, address=out)


def _place(source: Any, folder: Path, number: int) -> str:
    """A source as a path; a table becomes a file, whose name in the manifest does not depend on its temporary place."""
    if not is_table(source):
        return path_of(source)
    path = folder / f"table-{number}.parquet"
    write_log(source, path)
    return str(path)


def _place_of(out: str | os.PathLike[str] | None, settings: RunConfig) -> str:
    if out is None and not settings.data.path:
        raise UserError("where to? name the folder with --out DIR, or data.path in a config file")
    return settings.data.path if out is None else os.fspath(out)
