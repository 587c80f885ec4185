"""The two large steps of prepare: from the sources to filtered events, and from users and strata to the files of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.core.strata import Strata
from ltrec.data.manifest import Shard, Vocab
from ltrec.data.prepare import filtering, rejects, summary
from ltrec.data.prepare.columns.codes import code_users
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.describe import DescribedColumns, describe_columns, tallies_of
from ltrec.data.prepare.columns.earlier import EarlierColumns, keep_users
from ltrec.data.prepare.columns.items import add_new_items, find_new_items, write_items
from ltrec.data.prepare.columns.side_tables import Tables, count_users, refuse_unmatched
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.like import Like
from ltrec.data.prepare.output import vocabulary
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.reach import measure_reach, sample_share
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.sorting.layout import sort
from ltrec.data.prepare.sorting.parts import Cut
from ltrec.data.prepare.times.choice import TimeFormat, choose_time
from ltrec.data.prepare.times.days import note, only_days
from ltrec.data.schema import shard_schema


def write_data(
    engine: Engine,
    config: PrepareConfig,
    columns: Sequence[Declared],
    tables: Tables,
    strata: Strata,
    work: Path,
    on_progress: Progress,
    like: Like | None = None,
) -> tuple[Vocab, tuple[Shard, ...], DescribedColumns, dict[str, Any], int]:
    """Write vocabularies, shards and the reach; return the item vocabulary, the shards, the columns, what was counted, and the
    number of training events.

    Raises:
        UserError: no user can be trained on; nothing was written.
    """
    earlier = None if like is None else like.columns
    codes, known, table_counts = _number_items(engine, tables, earlier)
    on_progress("sort", 0, 0)
    cut = Cut(config.block_rows, config.shard_events)
    sorted_log = sort(engine, strata, config.history_cap, cut, columns, tables.user_columns)
    counted: dict[str, Any] = {**summary.count_users(engine, strata.head_from)}
    counted["length_quantiles"] = summary.length_quantiles(engine)
    if not counted["trainable_users"]:
        need = "a target among the training events after the first" if config.targets else "two training events"
        raise UserError(f"no user has {need}, so there is nothing to train on; nothing was written")
    on_progress("count", 0, 0)
    tallies = tallies_of(connection := engine.catalogue, (*columns, *tables.user_columns))
    counts = sorted_log.count(codes, tallies)
    outsized = summary.outsized(engine, counts)
    vocab, id_of_code = vocabulary.write_vocabulary(connection, counts, known, work, None if like is None else like.vocabulary)
    if like is not None:
        like.refuse_missing(vocab.items, connection)
    described = describe_columns(connection, tallies, config.targets, work, earlier)
    if tables.items is not None:
        described = write_items(connection, tables.items, id_of_code, counts, work, earlier).before(described)
    form = RowForm(id_of_code, shard_schema(described.schema), described.id_of_code)
    shards = sorted_log.write(form, on_progress)
    on_progress("reach", 0, 0)
    reach = measure_reach(
        sorted_log.blocks(), id_of_code, counts, sample_share(counted["users"], counted["events"]), strata.count, work
    )
    counted |= {"items": vocab.items, "outsized": outsized, "reach": reach, **described.summary, **table_counts}
    return vocab, shards, described, counted, int(counts.sum())


def _number_items(engine: Engine, tables: Tables, earlier: EarlierColumns | None) -> tuple[int, int, dict[str, Any]]:
    """Give codes to items that occur only in the item table; return the number of codes, the first new one, and table counts."""
    if tables.items is not None:
        find_new_items(engine.catalogue)
    known = vocabulary.keep_items(engine)
    if tables.users is not None:
        code_users(engine.catalogue, tables.users.columns)
        engine.lend(tables.users.name)
    refuse_unmatched(engine, tables)
    table_counts: dict[str, Any] = {}
    if tables.users is not None:
        table_counts["user_table"] = {**tables.users.summary(), **count_users(engine)}
        if earlier is not None:
            keep_users(engine.catalogue, tables.users.columns, earlier.users(tables.users.columns))
            engine.lend(tables.users.name)
    if tables.items is None:
        return known, known, table_counts
    table_counts["item_table"] = {**tables.items.summary(), **(found := add_new_items(engine.catalogue, known))}
    return known + found["new"], known, table_counts


def filter_log(
    engine: Engine,
    config: PrepareConfig,
    columns: Sequence[Declared],
    found: list[InputFile],
    work: Path,
    out: Path,
    on_progress: Progress,
    least_users: int = 2,
) -> dict[str, Any]:
    """Read and filter; return the counts of what was dropped, the unit of time as `time_unit`, and whether the log is `untimed`.
    Fewer than `least_users` users are refused."""
    counted = engine.stage(found, config, columns, on_progress)
    rows = counted.rows
    if rows == 0:
        raise UserError(f"{', '.join(str(s.path) for s in found[:3])}: no events, only headers")
    if rows == counted.unselected:
        raise UserError(f"`where`={config.where!r} selects none of the {rows} rows")
    chosen = choose_time(engine.staged, config, bool(counted.untimed))
    reasons = engine.judge(chosen)
    rejected = rejects.Rejects(engine.rejected(), found, reasons)
    rejects.check_budget(engine.catalogue, rejected, rows, config.reject_budget, out, rows - counted.unselected - rejected.count)
    rejects_file = rejects.keep(engine.catalogue, rejected, work)
    on_progress("filter", 0, 0)
    days = _make_events(engine, chosen, columns)
    rule = ("keep" if days else "drop_exact") if config.duplicates == "auto" else config.duplicates
    duplicates = filtering.drop_duplicates(engine, rule, columns)
    dropped = _keep_frequent(engine, config, least_users)
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
        "untimed": bool(counted.untimed),
        "notes": counted.notes() + ([note(filtering.count_repeats(engine, columns) if rule == "keep" else 0)] if days else []),
    }


def _make_events(engine: Engine, chosen: TimeFormat, columns: Sequence[Declared]) -> bool:
    """From staged rows to events; return whether their times are only days."""
    engine.make_events(chosen, columns)
    filtering.refuse_equal_keys(engine)
    filtering.find_tied(engine)
    return only_days(engine, chosen.name)


def _keep_frequent(engine: Engine, config: PrepareConfig, least_users: int) -> dict[str, int]:
    dropped = filtering.keep_frequent(engine, config)
    _refuse_trivial(engine, config, least_users)
    return dropped


def _refuse_trivial(engine: Engine, config: PrepareConfig, least_users: int) -> None:
    (ends,) = engine.rows("SELECT min(user_key), max(user_key) FROM events")
    if ends[0] is None:
        limits = f"`min_user_events`={config.min_user_events}, `min_item_events`={config.min_item_events}"
        raise UserError(f"no events are left with {limits}; lower them")
    if ends[0] == ends[1] and least_users > 1:
        ((user,),) = engine.rows(f"SELECT user_id FROM names WHERE user_key = {ends[0]}")
        raise UserError(f"only one user is left ({user!r}), at least two are needed; is {config.user!r} the user column?")
