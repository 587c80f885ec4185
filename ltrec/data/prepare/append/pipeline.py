"""Append a new day to a prepared data set; see the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.progress import Progress, silent
from ltrec.core.strata import Strata
from ltrec.data.manifest import Layer, Manifest, Vocab, version_of
from ltrec.data.prepare import summary as counts_of
from ltrec.data.prepare.append import day as days
from ltrec.data.prepare.append import summary
from ltrec.data.prepare.append.columns import ColumnsOfDay, joined_table
from ltrec.data.prepare.append.late import drop_late
from ltrec.data.prepare.append.measured import with_reach, with_statistics
from ltrec.data.prepare.append.options import options_of_day, refuse_other_time
from ltrec.data.prepare.append.parent import Parent, check_parent, open_parent, refuse_recut
from ltrec.data.prepare.append.rows import ParentUsers
from ltrec.data.prepare.append.shards import GrownShards, ShardBuilder, layer_cut, share, users_of_day
from ltrec.data.prepare.append.source import grown_source, refuse_other
from ltrec.data.prepare.append.strata import crossed, grown_strata, strata_cut_anew
from ltrec.data.prepare.append.vocabulary import read_items, write_grown
from ltrec.data.prepare.columns.describe import DescribedColumns
from ltrec.data.prepare.columns.side_tables import find_side_tables
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import VERSION
from ltrec.data.prepare.engines.duck import duck_engine
from ltrec.data.prepare.engines.protocol import Engine, counted
from ltrec.data.prepare.output.disk import explain_exhaustion
from ltrec.data.prepare.output.places import refuse_overlap
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.workspace import existing, is_whole, publish, workspace
from ltrec.data.prepare.progress import MENDING, UNCHANGED
from ltrec.data.prepare.readers.sources import InputFile, find_sources, refuse_changed, stamps
from ltrec.data.prepare.sorting.layout import sort
from ltrec.data.prepare.sorting.parts import Cut
from ltrec.data.prepare.sorting.ties import order_ties
from ltrec.data.prepare.steps import filter_log
from ltrec.data.prepare.users import splits
from ltrec.data.prepare.users.targets import target_codes
from ltrec.data.schema import shard_schema
from ltrec.version import __version__


def append(
    config: PrepareConfig,
    folder: Path,
    out: Path,
    on_progress: Progress = silent,
    overwrite: bool = False,
    recut: bool = False,
    reach: bool = False,
) -> Manifest:
    """Append the events that `config` names to the data set in `folder`, into `out`; return the manifest. Does nothing if that is
    there already, unchanged and undamaged.

    Args:
        config: the options; what is not given is the parent's.
        folder: the parent.
        out: folder of the grown data set.
        on_progress: hears of every step.
        overwrite: replace another data set.
        recut: thresholds of strata are cut and columns measured anew over all users.
        reach: the distances of targets are measured, over all events.

    Raises:
        UserError: anything the user can fix: the sources, an option that differs, late events, a damaged parent, a full disk.
    """
    with open_parent(folder, out) as parent:
        config = options_of_day(config, parent.manifest, folder)
        if recut:
            refuse_recut(config, folder)
        found, side_tables = find_sources(config.sources, config.format), find_side_tables(config, needed=False)
        refuse_overlap(config.sources, [source.path for source in (*found, *side_tables)], out)
        with explain_exhaustion(out), workspace(out) as work:
            before = stamps((*found, *side_tables))
            source = grown_source(parent, found, side_tables, recut=recut)
            name = config.name or out.resolve().name
            if not overwrite and (old := existing(out)) is not None:
                refuse_other(old, name, source, out, reach=reach)
                if is_whole(out, old, on_progress):
                    on_progress(UNCHANGED, 1, 1)
                    return old
                on_progress(MENDING, 0, 0)
            check_parent(parent, on_progress)
            with duck_engine(config, work) as engine:
                columns = ColumnsOfDay.load(engine, config, parent, side_tables, work, out, recut=recut)
                steps = _Append(engine, config, parent, columns, work, out, on_progress)
                manifest = steps.measured(steps.build(name, found, source), reach=reach)
            refuse_changed((*found, *side_tables), before)
            publish(work, out, manifest)
        return manifest


class _Append:
    """The steps from staging to finished files in `work`."""

    def __init__(
        self,
        engine: Engine,
        config: PrepareConfig,
        parent: Parent,
        columns: ColumnsOfDay,
        work: Path,
        out: Path,
        on_progress: Progress,
    ) -> None:
        self.recut, self.columns = columns.earlier.recut, columns
        self.engine, self.config, self.parent, self.work, self.out = engine, config, parent, work, out
        self.on_progress, self.before = on_progress, parent.manifest
        self.users = ParentUsers(parent.folder, parent.manifest)
        self.old_items = read_items(parent.folder / parent.manifest.vocab.path)

    def build(self, name: str, found: list[InputFile], source: dict[str, Any]) -> Manifest:
        """The manifest of the finished files."""
        log = filter_log(self.engine, self.config, self.columns.events, found, self.work, self.out, self.on_progress, least_users=1)
        refuse_other_time(log["time_unit"], self.before)
        if log["untimed"]:
            days.shift_places(self.engine, self.before.summary["rows"], self.columns.events)
        ties = order_ties(self.engine, self.config, self.columns.events)
        day, items = self._day(log["rows"])
        times = summary.times_of(self.engine, self.before.summary)
        of_day = int(day.key_U.size), int(day.old.column("user_key").size)
        strata = self._strata(day)
        self.columns.add_users(self.users, day)
        vocab, shards, train_events, described = self._write(day, items, strata)
        grown = summary.grown_summary(self.engine, self.parent, log, day, ties, strata.head_from)
        grown |= times | self._counted(vocab, day, strata, log["rejects_file"]) | self._tables(source)
        grown["notes"] = list(dict.fromkeys([*grown["notes"], *self.columns.tables.notes()]))
        grown["outsized"] = summary.outsized(self.engine, self.before.summary, grown, self.items)
        counts_of.check_totals(grown, shards.shards, train_events)
        source["lineage"][-1] |= self._changes(day, items, *of_day)
        manifest = replace(
            self.before,
            name=name,
            created_by={"ltrec": __version__, "duckdb": VERSION, "pyarrow": pa.__version__, "numpy": np.__version__},
            source=source,
            summary=grown,
            strata=strata,
            vocab=vocab,
            shards=shards.shards,
            layers=shards.layers,
            columns=described.schema,
            column_files=tuple(described.files),
            format_version=version_of(described.schema, shards.layers),
        )
        share([path for path in manifest.files() if not (self.work / path).exists()], self.parent.folder, self.work)
        return manifest

    def measured(self, manifest: Manifest, *, reach: bool) -> Manifest:
        """The manifest with what is measured over all events by choice."""
        if self.recut and manifest.columns:
            manifest = with_statistics(self.work, manifest, self.config)
        if reach:
            self.on_progress("reach", 0, 0)
            counts = self.items[c.TRAIN_COUNT].to_numpy()
            manifest = with_reach(self.work, manifest, np.concatenate([np.zeros(1, np.int64), counts]))
        return manifest

    def _day(self, rows: int) -> tuple[days.Day, days.ItemsOfDay]:
        """The day's events with their users' older ones, in the table `events`."""
        columns, place = self.columns.events, self.parent.folder
        items = days.take_parents_ids(self.engine, self.old_items[c.ITEM_ID], columns)
        self.columns.take_ids()
        (events,) = counted(self.engine, "SELECT count(*) FROM events")
        day = days.Day(days.users_of(self.engine, "SELECT user_key FROM names"), events)
        days.add_old_events(self.engine, self.users.rows_of(day.key_U, names=False), day, columns)
        drop_late(self.engine, day, self.before, place, self.config.reject_budget, rows, columns)
        return day, replace(items, unseen=self.columns.add_new_items(items.codes))

    def _strata(self, day: days.Day) -> Strata:
        """The strata, and the table `users` of all whose rows are written: if thresholds are cut anew, also of those who cross."""
        codes = target_codes(self.engine.catalogue, self.config, self.columns.events)
        cuts = splits.kept_cuts(self.before.split)
        if not self.recut:
            splits.make_users(self.engine, self.config, cuts, codes)
            return grown_strata(self.engine, self.before.strata, day.old)
        self.engine.make("names_of_day", "SELECT * FROM names")
        splits.make_users(self.engine, self.config, cuts, codes)
        others = self.users.others(day.key_U)
        strata = strata_cut_anew(self.engine, np.concatenate([part.activity_R for part in others]), self.config)
        moved = [part.key_R[strata.of(part.activity_R) != part.stratum] for part in others]
        days.add_moved(self.engine, self.users, day, np.sort(np.concatenate(moved)))
        splits.make_users(self.engine, self.config, cuts, codes)
        return strata

    def _write(self, day: days.Day, items: days.ItemsOfDay, strata: Strata) -> tuple[Vocab, GrownShards, int, DescribedColumns]:
        """Vocabularies, item table and shards; the number of training events, and the columns."""
        self.on_progress("sort", 0, 0)
        cut = layer_cut(Cut(self.before.block_rows, self.before.options["shard_events"]))
        sorted_day = sort(self.engine, strata, self.config.history_cap, cut, self.columns.events, self.columns.users)
        tallies = self.columns.empty_tallies()
        count_C = sorted_day.count(items.codes, tallies)
        self.columns.add_others(tallies, day)
        count_C -= days.old_training_counts(self.engine, items.codes - 1)
        count_C[1 : items.first] += self.old_items[c.TRAIN_COUNT].to_numpy()
        vocab, id_of_code, self.items = write_grown(self.engine.catalogue, self.old_items, count_C, items.unseen, self.work)
        described = self.columns.described(tallies, id_of_code, count_C)
        form = RowForm(id_of_code, shard_schema(described.schema), described.id_of_code)
        written = sorted_day.write(form, self.on_progress)
        files = [Layer(shard.path, shard.bytes, shard.sha256, shard.rows, cut.block_rows) for shard in written]
        self.of_day = users_of_day(self.engine, written, len(self.users.files))
        builder = ShardBuilder(self.users, self.before, self.parent.folder, self.work, files, form)
        return vocab, builder.build(self.of_day, day.key_U), int(count_C.sum()), described

    def _counted(self, vocab: Vocab, day: days.Day, strata: Strata, rejects: dict[str, Any] | None) -> dict[str, Any]:
        """Counts over all users."""
        parts = [*self.users.parts.values(), *self.of_day.values()]
        head_users = sum(int((part.activity_R >= strata.head_from).sum()) for part in parts)
        return {
            "items": vocab.items,
            "rejects_file": summary.joined_rejects(self.parent.folder, self.before.summary.get("rejects_file"), rejects, self.work),
            "head_users": head_users - int((day.old.column(c.ACTIVITY) >= strata.head_from).sum()),
            "length_quantiles": summary.length_quantiles(parts, day.old),
        }

    def _tables(self, source: dict[str, Any]) -> dict[str, Any]:
        """Counts of the tables of items and users. Files that the parent has are not counted again."""
        found = {}
        for table in filter(None, (self.columns.tables.items, self.columns.tables.users)):
            before, key = self.before.summary[f"{table.role}_table"], f"{table.role}s"
            again = source["tables"][key] == list(self.before.source["tables"][key])
            read = {} if again else table.summary()
            found[f"{table.role}_table"] = joined = joined_table(before, read, self.columns.counts[table.role])
            files = before.get("rejects_file"), read.get("rejects_file")
            if rejects := summary.joined_rejects(self.parent.folder, *files, self.work):
                joined["rejects_file"] = rejects
        return found

    def _changes(self, day: days.Day, items: days.ItemsOfDay, users: int, known: int) -> dict[str, Any]:
        changes = {
            "events": day.events,
            "users": users,
            "new_users": users - known,
            "new_items": items.count + items.unseen,
            "crossed": crossed(self.of_day.values(), day.old),
            "late": day.late,
            "known": day.known,
        }
        changes |= {"replaced": day.replaced} if day.replaced else {}
        return changes | ({"known_rows": rows} if (rows := self.columns.known_rows()) else {})
