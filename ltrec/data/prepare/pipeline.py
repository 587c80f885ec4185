"""The steps of prepare. Each step leaves tables or files for the next; only `publish` changes what readers of OUT see.

stage       read all sources into one table; malformed rows get a reason
filter      choose the unit of time, check the reject budget, drop duplicates, apply minimum counts
split       per-user counts, where training ends, strata
sort        one external sort by (part, user, time, source) into flat files
count       first pass over the sorted events: training counts, which determine item ids
write       second pass: shards
reach       two more passes: how far targets are from histories
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.core.strata import Strata
from ltrec.data.manifest import Manifest, Shard, Vocab
from ltrec.data.prepare import filtering, rejects, staging, summary
from ltrec.data.prepare.columns.declared import Declared, event_columns
from ltrec.data.prepare.columns.describe import DescribedColumns, describe_columns, tallies_of
from ltrec.data.prepare.columns.items import add_new_items, find_new_items, write_items
from ltrec.data.prepare.columns.side_tables import (
    SideTables,
    Tables,
    count_users,
    find_side_tables,
    load_tables,
    refuse_unmatched,
)
from ltrec.data.prepare.columns.tally import tallied
from ltrec.data.prepare.config import FOR_COLUMNS, RECORDED_AS, PrepareConfig
from ltrec.data.prepare.engine import engine, one_row
from ltrec.data.prepare.output import vocabulary
from ltrec.data.prepare.output.disk import explain_exhaustion
from ltrec.data.prepare.output.places import refuse_overlap
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.shards import write_shards
from ltrec.data.prepare.output.workspace import existing, is_whole, publish, workspace
from ltrec.data.prepare.progress import MENDING, UNCHANGED
from ltrec.data.prepare.reach import measure_reach, sample_share
from ltrec.data.prepare.readers.sources import InputFile, describe, find_sources, stamps
from ltrec.data.prepare.sorting.grouping import blocks
from ltrec.data.prepare.sorting.layout import sort
from ltrec.data.prepare.sorting.ties import order_ties
from ltrec.data.prepare.times.choice import choose_time
from ltrec.data.prepare.times.days import note, only_days
from ltrec.data.prepare.times.text import check_format
from ltrec.data.prepare.users import splits
from ltrec.data.prepare.users.strata import find_strata
from ltrec.data.prepare.users.targets import describe_targets, target_codes
from ltrec.data.schema import COLUMNS_VERSION, FORMAT_VERSION, shard_schema
from ltrec.version import __version__

Connection = duckdb.DuckDBPyConnection


def prepare(config: PrepareConfig, out: Path, on_progress: Progress = silent, overwrite: bool = False) -> Manifest:
    """Build the data set in `out` and return its manifest; do nothing if it is already there, unchanged and undamaged.

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
        if not overwrite and (old := existing(out)) is not None:
            _refuse_other(old, identity, out)
            if is_whole(out, old, on_progress):
                on_progress(UNCHANGED, 1, 1)
                return old
            on_progress(MENDING, 0, 0)
        with engine(work, config.memory_limit, config.threads) as connection:
            manifest = _build(connection, config, found, side_tables, identity, work, out, on_progress)
        if changed := [str(path) for path, stamp in stamps((*found, *side_tables)).items() if before[path] != stamp]:
            raise UserError(
                f"{changed[0]} changed while it was being read; nothing was written; run again once the log is complete"
            )
        publish(work, out, manifest)
    return manifest


def _identity(config: PrepareConfig, found: list[InputFile], out: Path, on_progress: Progress) -> dict[str, Any]:
    """What identifies a data set: its name, the options that affect it, and the contents of the sources."""
    total = sum(source.path.stat().st_size for source in found)
    return {
        "name": config.name or out.resolve().name,
        "options": json.loads(json.dumps(config.identity())),
        "files": describe(found, _counter("hash", total, on_progress)),
    }


def _refuse_other(old: Manifest, identity: dict[str, Any], out: Path) -> None:
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
    if (old.source["files"], old.source.get("tables")) != (identity["files"], identity.get("tables")):
        raise UserError(f"{out} was prepared from other source files; use --overwrite to replace it")


def _build(
    connection: Connection,
    config: PrepareConfig,
    found: list[InputFile],
    side_tables: SideTables,
    identity: dict[str, Any],
    work: Path,
    out: Path,
    on_progress: Progress,
) -> Manifest:
    """All steps from staging to finished files in `work`."""
    columns, tables = event_columns(config), load_tables(connection, config, side_tables, work, out)
    counts = _filter(connection, config, columns, found, work, out, on_progress)
    ties = order_ties(connection, config, columns)
    first, latest = one_row(connection, "SELECT min(seconds), max(seconds) FROM events")
    cuts = splits.find_cuts(connection, config, latest)
    codes = target_codes(connection, config, columns)
    splits.make_users(connection, config, cuts, codes)
    strata = find_strata(connection, config)
    vocab, shards, described, counted, events = _write(connection, config, columns, tables, strata, work, on_progress)
    counts |= {**counted, "first_time": first, "last_time": latest}
    counts |= {"ties": ties.summary(), "notes": counts["notes"] + ties.notes() + tables.notes()}
    summary.check_totals(counts, shards, events)
    return Manifest(
        name=identity["name"],
        created_by={"ltrec": __version__, "duckdb": duckdb.__version__, "pyarrow": pa.__version__, "numpy": np.__version__},
        source=_source(config, identity, counts.pop("time_unit"), ties.order),
        options=identity["options"],
        split={**splits.describe(config, cuts), **describe_targets(config, codes, described.id_of_code)},
        summary=counts,
        strata=strata,
        vocab=vocab,
        block_rows=config.block_rows,
        shards=shards,
        format_version=COLUMNS_VERSION if described.schema else FORMAT_VERSION,
        columns=described.schema,
        column_files=tuple(described.files),
    )


def _source(config: PrepareConfig, identity: dict[str, Any], time_unit: str, tie_break: str) -> dict[str, Any]:
    """The entry of the input in the manifest."""
    columns = {"user": config.user, "item": config.item, "time": config.time}
    source = {"files": identity["files"], "columns": columns, "time_unit": time_unit, "tie_break": tie_break}
    return source | {key: identity[key] for key in ("tables",) if key in identity}


def _write(
    connection: Connection,
    config: PrepareConfig,
    columns: Sequence[Declared],
    tables: Tables,
    strata: Strata,
    work: Path,
    on_progress: Progress,
) -> tuple[Vocab, tuple[Shard, ...], DescribedColumns, dict[str, Any], int]:
    """Write vocabularies, shards and the reach; return the item vocabulary, the shards, the columns, what was counted, and the
    number of training events.

    Raises:
        UserError: no user can be trained on; nothing was written.
    """
    codes, known, table_counts = _number_items(connection, tables)
    on_progress("sort", 0, 0)
    layout = sort(connection, strata, config.history_cap, work, columns, tables.user_columns)
    counted = summary.count_users(connection, strata.head_from)
    if not counted["trainable_users"]:
        need = "a target among the training events after the first" if config.targets else "two training events"
        raise UserError(f"no user has {need}, so there is nothing to train on; nothing was written")
    on_progress("count", 0, 0)
    read = partial(blocks, layout, config.block_rows)
    tallies = tallies_of(connection, (*columns, *tables.user_columns))
    fields = [column.field for column in columns]
    counts = vocabulary.count_training(tallied(read(fields), tallies), codes)
    outsized = summary.outsized(connection, counts)
    vocab, id_of_code = vocabulary.write_vocabulary(connection, counts, known, work)
    described = describe_columns(connection, tallies, config.targets, work)
    if tables.items is not None:
        described = write_items(connection, tables.items, id_of_code, counts, work).before(described)
    form = RowForm(id_of_code, shard_schema(described.schema), described.id_of_code)
    on_users = _counter("write", counted["users"], on_progress)
    shards = write_shards(read(fields), layout.parts, form, work, config.block_rows, config.shard_events, on_users)
    on_progress("reach", 0, 0)
    reach = measure_reach(read, id_of_code, counts, sample_share(counted["users"], counted["events"]), strata.count, work)
    counted |= {"items": vocab.items, "outsized": outsized, "reach": reach, **described.summary, **table_counts}
    return vocab, shards, described, counted, int(counts.sum())


def _number_items(connection: Connection, tables: Tables) -> tuple[int, int, dict[str, Any]]:
    """Give codes to items that occur only in the item table; return the number of codes, the first new one, and table counts."""
    if tables.items is not None:
        find_new_items(connection)
    known = vocabulary.keep_items(connection)
    refuse_unmatched(connection, tables)
    table_counts: dict[str, Any] = {}
    if tables.users is not None:
        table_counts["user_table"] = {**tables.users.summary(), **count_users(connection)}
    if tables.items is None:
        return known, known, table_counts
    table_counts["item_table"] = {**tables.items.summary(), **(found := add_new_items(connection, known))}
    return known + found["new"], known, table_counts


def _filter(
    connection: Connection,
    config: PrepareConfig,
    columns: Sequence[Declared],
    found: list[InputFile],
    work: Path,
    out: Path,
    on_progress: Progress,
) -> dict[str, Any]:
    """Read and filter; return the counts of what was dropped, and the unit of time under `time_unit`."""
    counted = staging.stage(connection, found, config, columns, on_progress)
    rows = counted.rows
    if rows == 0:
        raise UserError(f"{', '.join(str(s.path) for s in found[:3])}: no events, only headers")
    if rows == counted.unselected:
        raise UserError(f"`where`={config.where!r} selects none of the {rows} rows")
    chosen = choose_time(connection, config, bool(counted.untimed))
    reasons = rejects.judge(connection, chosen)
    rejected = rejects.Rejects.of_log(found, reasons)
    rejects.check_budget(connection, rejected, rows, config.reject_budget, out)
    rejects_file = rejects.keep(connection, rejected, work)
    on_progress("filter", 0, 0)
    filtering.make_events(connection, chosen.per_second, columns)
    days = only_days(connection, chosen.name)
    rule = ("keep" if days else "drop_exact") if config.duplicates == "auto" else config.duplicates
    duplicates = filtering.drop_duplicates(connection, rule, columns)
    dropped = filtering.keep_frequent(connection, config)
    _refuse_trivial(connection, config)
    return {
        "rows": rows,
        "empty_files": counted.empty_files,
        "unselected": counted.unselected,
        "rejected": rejected.count,
        "rejects": reasons,
        "rejects_file": rejects_file,
        "duplicates": duplicates,
        "duplicate_rule": rule,
        **dropped,
        "time_unit": chosen.name,
        "notes": counted.notes() + ([note(filtering.count_repeats(connection, columns) if rule == "keep" else 0)] if days else []),
    }


def _refuse_trivial(connection: Connection, config: PrepareConfig) -> None:
    (ends,) = connection.execute("SELECT min(user_key), max(user_key) FROM events").fetchall()
    if ends[0] is None:
        limits = f"`min_user_events`={config.min_user_events}, `min_item_events`={config.min_item_events}"
        raise UserError(f"no events are left with {limits}; lower them")
    if ends[0] == ends[1]:
        ((user,),) = connection.execute("SELECT user_id FROM names WHERE user_key = ?", [ends[0]]).fetchall()
        raise UserError(f"only one user is left ({user!r}), at least two are needed; is {config.user!r} the user column?")


def _counter(step: str, total: int, on_progress: Progress) -> Callable[[int], None]:
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        on_progress(step, done, total)

    return add
