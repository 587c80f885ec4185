"""Append a new day to a prepared data set; see the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.core.ragged import I64
from ltrec.core.strata import Strata
from ltrec.data.manifest import Layer, Manifest, Vocab, version_of
from ltrec.data.prepare import summary as counts_of
from ltrec.data.prepare.append import day as days
from ltrec.data.prepare.append import summary
from ltrec.data.prepare.append.options import options_of_day, refuse_other_time
from ltrec.data.prepare.append.parent import Parent, check_parent, open_parent
from ltrec.data.prepare.append.rows import ParentUsers, PartUsers
from ltrec.data.prepare.append.shards import GrownShards, ShardBuilder, layer_cut, share, users_of_day
from ltrec.data.prepare.append.strata import crossed, grown_strata, strata_cut_anew
from ltrec.data.prepare.append.vocabulary import old_counts, write_grown
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import VERSION
from ltrec.data.prepare.engines.duck import duck_engine
from ltrec.data.prepare.engines.protocol import Engine, counted
from ltrec.data.prepare.output.disk import explain_exhaustion
from ltrec.data.prepare.output.places import refuse_overlap
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.workspace import existing, is_whole, publish, workspace
from ltrec.data.prepare.progress import MENDING, UNCHANGED
from ltrec.data.prepare.readers.sources import InputFile, describe, find_sources, refuse_changed, stamps
from ltrec.data.prepare.sorting.layout import sort
from ltrec.data.prepare.sorting.parts import Cut
from ltrec.data.prepare.sorting.ties import order_ties
from ltrec.data.prepare.steps import filter_log
from ltrec.data.prepare.users import splits
from ltrec.data.schema import SHARD_SCHEMA
from ltrec.version import __version__


def append(
    config: PrepareConfig,
    folder: Path,
    out: Path,
    on_progress: Progress = silent,
    overwrite: bool = False,
    recut: bool = False,
) -> Manifest:
    """Append the events that `config` names to the data set in `folder`, into `out`; return the manifest. Does nothing if that is
    there already, unchanged and undamaged. `recut`: thresholds of strata are cut anew over all users.

    Raises:
        UserError: anything the user can fix: the sources, an option that differs, late events, a damaged parent, a full disk.
    """
    with open_parent(folder, out) as parent:
        config = options_of_day(config, parent.manifest, folder)
        found = find_sources(config.sources, config.format)
        refuse_overlap(config.sources, [source.path for source in found], out)
        with explain_exhaustion(out), workspace(out) as work:
            before = stamps(found)
            source = _source(parent, found, recut)
            name = config.name or out.resolve().name
            if not overwrite and (old := existing(out)) is not None:
                _refuse_other(old, name, source, out)
                if is_whole(out, old, on_progress):
                    on_progress(UNCHANGED, 1, 1)
                    return old
                on_progress(MENDING, 0, 0)
            check_parent(parent, on_progress)
            with duck_engine(config, work) as engine:
                manifest = _Append(engine, config, parent, work, out, on_progress, recut).build(name, found, source)
            refuse_changed(found, before)
            publish(work, out, manifest)
        return manifest


def _source(parent: Parent, found: list[InputFile], recut: bool) -> dict[str, Any]:
    """The input in the manifest: all source files, and the parent as the last entry of the lineage.

    Raises:
        UserError: a file is one of the parent's.
    """
    before, files = parent.manifest.source, describe(found, lambda _: None)
    known = {file["sha256"]: file["path"] for file in before["files"]}
    if again := next((file for file in files if file["sha256"] in known), None):
        raise UserError(f"{again['path']} is in {parent.folder} already, as {known[again['sha256']]}; its events would count twice")
    step = {"digest": parent.manifest.digest, "items": parent.manifest.vocab.items, "files": len(before["files"])}
    step |= {"recut": True} if recut else {}
    return {**before, "files": [*before["files"], *files], "lineage": [*parent.manifest.lineage, step]}


def _refuse_other(old: Manifest, name: str, source: dict[str, Any], out: Path) -> None:
    if old.name != name:
        raise UserError(f"{out} holds the data set {old.name!r}; use --overwrite to replace it with {name!r}")
    if not old.lineage or old.lineage[-1]["digest"] != source["lineage"][-1]["digest"]:
        raise UserError(f"{out} was not made by appending to this data set; use --overwrite to replace it")
    if ("recut" in old.lineage[-1]) != ("recut" in source["lineage"][-1]):
        how = "with" if "recut" in old.lineage[-1] else "without"
        raise UserError(f"{out} was made {how} --recut; use --overwrite to replace it")
    if list(old.source["files"]) != source["files"]:
        raise UserError(f"{out} was appended from other source files; use --overwrite to replace it")


class _Append:
    """The steps from staging to finished files in `work`."""

    def __init__(
        self,
        engine: Engine,
        config: PrepareConfig,
        parent: Parent,
        work: Path,
        out: Path,
        on_progress: Progress,
        recut: bool,
    ) -> None:
        self.recut = recut
        self.engine, self.config, self.parent, self.work, self.out = engine, config, parent, work, out
        self.on_progress, self.before = on_progress, parent.manifest
        self.users = ParentUsers(parent.folder, parent.manifest)

    def build(self, name: str, found: list[InputFile], source: dict[str, Any]) -> Manifest:
        """The manifest of the finished files."""
        log = filter_log(self.engine, self.config, (), found, self.work, self.out, self.on_progress, least_users=1)
        refuse_other_time(log["time_unit"], self.before)
        ties = order_ties(self.engine, self.config, ())
        day, items = self._day(log["rows"])
        times = summary.times_of(self.engine, self.before.summary)
        of_day = int(day.key_U.size), int(day.old.column("user_key").size)
        strata = self._strata(day)
        vocab, shards, train_events = self._write(day, items, strata)
        grown = summary.grown_summary(self.engine, self.parent, log, day, ties, strata.head_from)
        others = self.users.others(day.key_U)
        grown |= times | {
            "items": vocab.items,
            "rejects_file": summary.joined_rejects(self.parent, log["rejects_file"], self.work),
            "head_users": self._head_users(others, strata.head_from),
            "length_quantiles": summary.length_quantiles(self.engine, others),
        }
        grown["outsized"] = summary.outsized(self.engine, self.before.summary, grown, self.work / vocab.path, self.count_I)
        counts_of.check_totals(grown, shards.shards, train_events)
        source["lineage"][-1] |= self._changes(day, items, *of_day)
        self._share(shards, grown)
        return replace(
            self.before,
            name=name,
            created_by={"ltrec": __version__, "duckdb": VERSION, "pyarrow": pa.__version__, "numpy": np.__version__},
            source=source,
            summary=grown,
            strata=strata,
            vocab=vocab,
            shards=shards.shards,
            layers=shards.layers,
            format_version=version_of(self.before.columns, shards.layers),
        )

    def _day(self, rows: int) -> tuple[days.Day, days.ItemsOfDay]:
        """The day's events with their users' older ones, in the table `events`."""
        items = days.take_parents_ids(self.engine, self.parent.folder / self.before.vocab.path, self.before.vocab.items)
        (events,) = counted(self.engine, "SELECT count(*) FROM events")
        day = days.Day(days.users_of(self.engine), events)
        days.add_old_events(self.engine, self.users.rows_of(day.key_U), day)
        days.drop_late(self.engine, day, self.before, self.parent.folder, self.config.reject_budget, rows)
        return day, items

    def _strata(self, day: days.Day) -> Strata:
        """The strata, and the table `users` of all whose rows are written: if thresholds are cut anew, also of those who cross."""
        if not self.recut:
            splits.make_users(self.engine, self.config, None, {})
            return grown_strata(self.engine, self.before.strata, day.old)
        self.engine.make("names_of_day", "SELECT * FROM names")
        splits.make_users(self.engine, self.config, None, {})
        others = self.users.others(day.key_U)
        strata = strata_cut_anew(self.engine, np.concatenate([part.activity_R for part in others]), self.config)
        moved = [part.key_R[strata.of(part.activity_R) != part.stratum] for part in others]
        days.add_moved(self.engine, self.users, day, np.sort(np.concatenate(moved)))
        splits.make_users(self.engine, self.config, None, {})
        return strata

    def _head_users(self, others: Sequence[PartUsers], head_from: int) -> int:
        (head,) = counted(self.engine, f"SELECT count(*) FROM stored WHERE activity >= {head_from}")
        return head + sum(int((part.activity_R >= head_from).sum()) for part in others)

    def _write(self, day: days.Day, items: days.ItemsOfDay, strata: Strata) -> tuple[Vocab, GrownShards, int]:
        """Vocabulary and shards; the number of training events."""
        self.on_progress("sort", 0, 0)
        codes = items.first + items.count - 1
        cut = layer_cut(Cut(self.before.block_rows, self.before.options["shard_events"]))
        sorted_day = sort(self.engine, strata, self.config.history_cap, cut, ())
        count_C = sorted_day.count(codes + 1, ()) - days.old_training_counts(self.engine, codes)
        vocabulary = self.parent.folder / self.before.vocab.path
        count_C[: items.first] += old_counts(vocabulary)
        vocab, id_of_code = write_grown(self.engine.catalogue, vocabulary, count_C, self.work)
        self.count_I: I64 = np.zeros_like(count_C)
        self.count_I[id_of_code] = count_C
        form = RowForm(id_of_code, SHARD_SCHEMA)
        written = sorted_day.write(form, self.on_progress)
        files = [Layer(shard.path, shard.bytes, shard.sha256, shard.rows, cut.block_rows) for shard in written]
        of_day = users_of_day(self.engine, written, len(self.users.files))
        builder = ShardBuilder(self.users, self.before, self.parent.folder, self.work, files, form)
        return vocab, builder.build(of_day, day.key_U), int(count_C.sum())

    def _changes(self, day: days.Day, items: days.ItemsOfDay, users: int, known: int) -> dict[str, int]:
        return {
            "events": day.events,
            "users": users,
            "new_users": users - known,
            "new_items": items.count,
            "crossed": crossed(self.engine, day.old),
            "late": day.late,
            "known": day.known,
        }

    def _share(self, shards: GrownShards, grown: dict[str, Any]) -> None:
        rejects = grown["rejects_file"]
        paths = [*shards.shared, *([rejects["path"]] if rejects and not (self.work / rejects["path"]).exists() else ())]
        share(paths, self.parent.folder, self.work)
