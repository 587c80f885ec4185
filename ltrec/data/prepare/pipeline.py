"""The steps of prepare. Each step leaves tables or files for the next; only `publish` changes what readers of OUT see.

stage       read all sources into one table; malformed rows get a reason
filter      choose the unit of time, check the reject budget, drop duplicates, apply minimum counts
split       per-user counts, where training ends, strata
sort        one external sort by (part, user, time, source) into flat files
count       first pass over the sorted events: training counts, which determine item ids
write       second pass: shards
reach       a third pass: how far targets are from histories
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.data.manifest import Manifest, version_of
from ltrec.data.prepare import summary
from ltrec.data.prepare.columns.declared import Declared, event_columns
from ltrec.data.prepare.columns.side_tables import SideTables, Tables, find_side_tables, load_tables, table_columns
from ltrec.data.prepare.config import FOR_COLUMNS, RECORDED_AS, PrepareConfig
from ltrec.data.prepare.database import VERSION
from ltrec.data.prepare.engines.opening import open_engine
from ltrec.data.prepare.engines.protocol import Engine, counted
from ltrec.data.prepare.like import Like
from ltrec.data.prepare.output.disk import explain_exhaustion
from ltrec.data.prepare.output.places import refuse_overlap
from ltrec.data.prepare.output.workspace import existing, is_whole, publish, workspace
from ltrec.data.prepare.progress import MENDING, UNCHANGED, counter
from ltrec.data.prepare.readers.sources import InputFile, describe, find_sources, refuse_changed, stamps
from ltrec.data.prepare.sorting.ties import TieBreak, order_ties
from ltrec.data.prepare.steps import filter_log, write_data
from ltrec.data.prepare.times.text import check_format
from ltrec.data.prepare.users import splits
from ltrec.data.prepare.users.strata import find_strata
from ltrec.data.prepare.users.targets import describe_targets, target_codes
from ltrec.version import __version__


def prepare(
    config: PrepareConfig,
    out: Path,
    on_progress: Progress = silent,
    overwrite: bool = False,
    like: Path | None = None,
    recut: bool = False,
) -> Manifest:
    """Build the data set in `out` and return its manifest; do nothing if it is already there, unchanged and undamaged.

    Args:
        config: the options.
        out: its folder.
        on_progress: hears of every step.
        overwrite: replace another data set.
        like: a data set whose item ids and thresholds of strata it takes; None = none.
        recut: with `like`, thresholds are cut anew.

    Raises:
        UserError: anything the user can fix: sources, columns, too many rejects, another data set in `out`, a full disk.
    """
    if config.time_format:
        check_format(config.time_format)
    found, side_tables = find_sources(config.sources, config.format), find_side_tables(config)
    refuse_overlap(config.sources, [source.path for source in (*found, *side_tables)], out)
    with explain_exhaustion(out), workspace(out) as work:
        before = stamps((*found, *side_tables))
        identity = {**_identity(config, found, out, on_progress), **side_tables.described()}
        declared = (*event_columns(config), *table_columns(config))
        model = None if like is None else Like.open(like, declared, recut=recut)
        identity["lineage"] = [] if model is None else [model.step]
        if not overwrite and (old := existing(out)) is not None:
            _refuse_other(old, identity, out)
            if is_whole(out, old, on_progress):
                on_progress(UNCHANGED, 1, 1)
                return old
            on_progress(MENDING, 0, 0)
        with open_engine(config, work) as engine:
            manifest = _build(engine, config, found, side_tables, identity, work, out, on_progress, model)
        refuse_changed((*found, *side_tables), before)
        publish(work, out, manifest)
    return manifest


def refuse_other(config: PrepareConfig, old: Manifest, place: str, on_progress: Progress = silent) -> None:
    """Refuse a data set that is not the one that `config` makes; `place` names it.

    Raises:
        UserError: it has another name, options or sources.
    """
    found, side_tables = find_sources(config.sources, config.format), find_side_tables(config)
    _refuse_other(old, {**_identity(config, found, Path(place), on_progress), **side_tables.described()}, place)


def _identity(config: PrepareConfig, found: list[InputFile], out: Path, on_progress: Progress) -> dict[str, Any]:
    """What identifies a data set: its name, the options that affect it, and the contents of the sources."""
    total = sum(source.path.stat().st_size for source in found)
    return {
        "name": config.name or out.resolve().name,
        "options": json.loads(json.dumps(config.identity())),
        "files": describe(found, counter("hash", total, on_progress)),
    }


def _refuse_other(old: Manifest, identity: dict[str, Any], out: Path | str) -> None:
    if old.name != identity["name"]:
        raise UserError(f"{out} holds the data set {old.name!r}; use --overwrite to replace it with {identity['name']!r}")
    plain = {key: None for key in FOR_COLUMNS if key in identity["options"] or key in old.options}
    wanted, had = {**plain, **identity["options"]}, {**plain, **old.options}
    if new := [key for key in wanted if key not in had]:
        raise UserError(
            f"{out} was prepared by an older ltrec without the option `{new[0]}`; use it as it is, or --overwrite to replace it"
        )
    if changed := [key for key, value in wanted.items() if had[key] != value]:
        was, now = had[changed[0]], wanted[changed[0]]
        option = {recorded: key for key, recorded in RECORDED_AS.items()}.get(changed[0], changed[0])
        raise UserError(f"{out} was prepared with `{option}`={was!r}, not {now!r}; use --overwrite to replace it")
    if list(old.lineage) != identity.get("lineage", []):
        raise UserError(f"{out} has item ids of other data, or was appended to; use --overwrite to replace it")
    if (old.source["files"], old.source.get("tables")) != (identity["files"], identity.get("tables")):
        raise UserError(f"{out} was prepared from other source files; use --overwrite to replace it")


def _build(
    engine: Engine,
    config: PrepareConfig,
    found: list[InputFile],
    side_tables: SideTables,
    identity: dict[str, Any],
    work: Path,
    out: Path,
    on_progress: Progress,
    like: Like | None = None,
) -> Manifest:
    """All steps from staging to finished files in `work`."""
    columns, tables = event_columns(config), load_tables(engine.catalogue, config, side_tables, work, out)
    counts = filter_log(engine, config, columns, found, work, out, on_progress)
    ties = _ordered(engine, config, columns, tables, identity, like)
    first, latest = counted(engine, "SELECT min(seconds), max(seconds) FROM events")
    cuts = (None if like is None else like.cuts(config)) or splits.find_cuts(engine, config, latest)
    codes = target_codes(engine.catalogue, config, columns)
    splits.make_users(engine, config, cuts, codes)
    strata = find_strata(engine, config, None if like is None else like.strata)
    vocab, shards, described, written, events = write_data(engine, config, columns, tables, strata, work, on_progress, like)
    counts |= {**written, "first_time": first, "last_time": latest}
    counts |= {"ties": ties.summary(), "notes": counts["notes"] + ties.notes() + tables.notes()}
    summary.check_totals(counts, shards, events)
    return Manifest(
        name=identity["name"],
        created_by={"ltrec": __version__, "duckdb": VERSION, "pyarrow": pa.__version__, "numpy": np.__version__},
        source=_source(config, identity, counts.pop("time_unit"), ties.order),
        options=identity["options"],
        split={**splits.describe(config, cuts), **describe_targets(config, codes, described.id_of_code)},
        summary={name: count for name, count in counts.items() if name != "untimed"},
        strata=strata,
        vocab=vocab,
        block_rows=config.block_rows,
        shards=shards,
        format_version=version_of(described.schema),
        columns=described.schema,
        column_files=tuple(described.files),
        made_by=engine.made_by,
    )


def _ordered(
    engine: Engine,
    config: PrepareConfig,
    columns: Sequence[Declared],
    tables: Tables,
    identity: dict[str, Any],
    like: Like | None,
) -> TieBreak:
    """Give values the ids of `like`, and order ties."""
    if like is not None:
        like.take_ids(engine, columns, tables, identity["files"])
    return order_ties(engine, config, columns)


def _source(config: PrepareConfig, identity: dict[str, Any], time_unit: str, tie_break: str) -> dict[str, Any]:
    """The entry of the input in the manifest."""
    columns = {"user": config.user, "item": config.item, "time": config.time}
    source = {"files": identity["files"], "columns": columns, "time_unit": time_unit, "tie_break": tie_break}
    return source | {key: identity[key] for key in ("tables", "lineage") if identity.get(key)}
