"""Rank the users of a split with one scorer and write the table. An existing table of the same scorer and protocol is kept.

The chunks of users are fixed by the protocol. Process r of W ranks every W-th chunk and rank 0 writes the file, so it does not
depend on W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.data.reach import read_reach
from ltrec.data.stream.reading.histories import Score, SplitHistories
from ltrec.data.stream.reading.target_types import read_target_types
from ltrec.distributed.collectives import all_gather_parts, any_rank, current_world
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.ranking import num_parts, rank_split
from ltrec.evaluation.table import SEEN, EvalTable, Protocol, RankedRows, assemble
from ltrec.evaluation.training_facts import KEY
from ltrec.run.build.components import Data
from ltrec.run.scoring.protocol import negatives_of
from ltrec.terminal.screen import note


@dataclass(frozen=True, slots=True)
class RankingJob:
    """One table to be made.

    Attributes:
        name: of the scorer.
        make_score: loads the scorer; only called if users must be ranked.
        file: path of the table.
        source: metadata of the scorer for the table.
        protocol: how the users are ranked.
    """

    name: str
    make_score: Callable[[], Score]
    file: Path
    source: dict[str, Any]
    protocol: Protocol

    def run(self, config: RunConfig, data: Data, histories: SplitHistories, on_progress: Callable[[int, int], None]) -> None:
        """Rank the users and write the table, unless it exists. Collective: every process must call it."""
        existing = self._existing_table()
        must_rank = any_rank(existing is None) or existing is None
        table = self._rank(config, data, histories, on_progress) if must_rank else existing
        assert table is not None
        if current_world().rank == 0 and (must_rank or table.source != self.source):
            replace(table, source=self.source).write(self.file)

    def _existing_table(self) -> EvalTable | None:
        """The table on disk; None if there is none, it is damaged, or its scorer or protocol differs.

        Facts about the progress of training are not compared; they are updated without ranking again.
        """
        if not self.file.exists():
            return None
        try:
            table = EvalTable.read(self.file)
        except UserError as error:
            if current_world().rank == 0:
                note(f"{error.args[0].removesuffix('; evaluate again')}: ranking again")
            return None
        same = table.protocol == self.protocol and {**table.source, KEY: 0} == {**self.source, KEY: 0}
        return table if same else None

    def _rank(self, config: RunConfig, data: Data, histories: SplitHistories, on_progress: Callable[[int, int], None]) -> EvalTable:
        world, parts = current_world(), list[RankedRows]()
        mine = range(world.rank, num_parts(histories), world.size)
        ranked = rank_split(
            self.make_score(),
            histories,
            data.vocabulary.train_count,
            parts=mine,
            filter_seen=self.protocol.filter_seen,
            top_k=config.evaluation.top_k,
            negatives=negatives_of(config),
            seen_only=self.protocol.candidates == SEEN,
        )
        for part in ranked:
            parts.append(part)
            on_progress(len(parts), len(mine))
        return assemble(
            [part for of_rank in all_gather_parts(parts) for part in of_rank],
            protocol=self.protocol,
            source=self.source,
            strata=data.manifest.strata,
            catalogue=ItemCatalogue.of(data.vocabulary.train_count),
            reach=read_reach(data.folder, data.manifest, self.protocol.split),
            types=read_target_types(data.folder, data.manifest, self.protocol.split),
        )
