"""What a process knows to be damaged, with its part of the ledger, and the budget. Threads may share it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from threading import Lock

from ltrec.core.columns import NO_STRATUM
from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.stream.quarantine.damage import DamagedRowGroup, Rule
from ltrec.data.stream.quarantine.ledger import Ledger, LedgerEntry, merged

Place = tuple[int, int]
"""Number of a shard in the manifest, and of a row group in it."""

Kind = tuple[int, bool]
"""A stratum, and whether its users are trained on: what a budget is for."""

_LOGGER = logging.getLogger("ltrec")
_WHAT = {"bytes": "page checksum or encoding", "rows": "number of rows", "values": "values of rows", "columns": "values of columns"}


class Quarantine:
    """The damaged row groups of a data set.

    Args:
        manifest: of the data set.
        budget: most of a stratum's users, as a share, that may be in damaged row groups; of those that are trained on, and of the
            others.
        say: hears one line about each.
        speaks: whether this process says what all processes find.
    """

    def __init__(
        self, manifest: Manifest, budget: float, say: Callable[[str], None] = _LOGGER.warning, *, speaks: bool = True
    ) -> None:
        self._manifest, self._budget, self._say, self._speaks = manifest, budget, say, speaks
        self._number = {shard.path: number for number, shard in enumerate(manifest.shards)}
        self._total = Counter[Kind]()
        for shard in manifest.shards:
            self._total[shard.stratum, shard.trainable] += shard.rows
        self._rules: dict[Place, Rule] = {}
        self._said: set[Place] = set()
        self._own: dict[Place, LedgerEntry] = {}  # since the last `restore`
        self._step = 0
        self._lock = Lock()

    @property
    def is_empty(self) -> bool:
        """Whether no damage is known."""
        return not self._rules

    def rule(self, shard: int, group: int) -> Rule | None:
        """The check that a row group failed; None if it is not known to be damaged."""
        return self._rules.get((shard, group))

    def mark(self, damage: DamagedRowGroup) -> None:
        """Remember a damaged row group that nobody needs yet."""
        with self._lock:
            self._rules.setdefault((damage.shard, damage.group), damage.rule)

    def add(self, damage: DamagedRowGroup, *, by_all: bool = False) -> None:
        """Remember a damaged row group, and say so once.

        Args:
            damage: what was found.
            by_all: every process finds it.

        Raises:
            UserError: the budget of its stratum is spent.
        """
        self.mark(damage)
        place, shard = (damage.shard, damage.group), self._manifest.shards[damage.shard]
        with self._lock:
            says = place not in self._said and (self._speaks or not by_all)
            self._said.add(place)
        if says:
            instead = f", and others of {_named(shard.stratum)} take their places in training" if shard.trainable else ""
            self._say(
                f"{shard.path}, row group {damage.group} is damaged ({_WHAT[damage.rule]}): its {self._users(place):,} users are "
                f"left out of validation{instead}"
            )
        self._refuse_beyond_budget(self._kind(damage.shard))

    def leave_out(self, damage: DamagedRowGroup) -> None:
        """Remember a damaged row group whose users validation goes without.

        Raises:
            UserError: the budget of its stratum is spent.
        """
        self.add(damage)
        with self._lock:
            self._own.setdefault((damage.shard, damage.group), self._entry((damage.shard, damage.group)))

    def trained(self, step: int, replaced: Mapping[Place, int]) -> None:
        """Record that a step was trained on, with so many replaced rows of each damaged row group."""
        with self._lock:
            for place, rows in replaced.items():
                entry = self._own.get(place) or replace(self._entry(place), since=step)
                self._own[place] = replace(entry, replaced=entry.replaced + rows)
            self._step = step + 1

    def own(self) -> Ledger:
        """This process's ledger since the last `restore`."""
        with self._lock:
            return merged([tuple(self._own.values())])

    def restore(self, step: int, ledger: Ledger) -> None:
        """Go on from a checkpoint: what its ledger names stays in quarantine, whatever its bytes are now.

        Raises:
            UserError: it names a row group that the data set has not, or the budget is spent.
        """
        known: dict[Place, Rule] = {}
        for entry in ledger:
            number = self._number.get(entry.shard)
            if number is None or entry.group >= self._manifest.row_groups(self._manifest.shards[number]):
                raise UserError(f"the checkpoint's ledger names {entry.shard}, row group {entry.group}, which the data set has not")
            known[number, entry.group] = entry.rule
        with self._lock:
            self._own, self._step = {}, step
            self._rules |= known
            self._said |= known.keys()
        self.check(ledger)

    def check(self, ledger: Ledger) -> None:
        """Compare what all ranks have found with the budget.

        Raises:
            UserError: the budget of a stratum is spent.
        """
        places = {(self._number[entry.shard], entry.group) for entry in ledger}
        for kind in sorted({self._kind(shard) for shard, _ in places}):
            self._refuse_beyond_budget(kind, places)

    def _refuse_beyond_budget(self, kind: Kind, more: Collection[Place] = ()) -> None:
        with self._lock:
            places = sorted(place for place in self._rules.keys() | set(more) if self._kind(place[0]) == kind)
        lost, total = sum(self._users(place) for place in places), self._total[kind]
        if lost > self._budget * total:
            shard, group = places[0]
            raise UserError(
                f"{lost:,} of the {total:,} {'training ' if kind[1] else ''}users of {_named(kind[0])} are in "
                f"{counted(len(places), 'damaged row group')} ({self._manifest.shards[shard].path}, row group {group}, ...), more "
                f"than the share `damage_budget`={self._budget:g}: copy the data set again, {MEND}, or raise the budget"
            )

    def _kind(self, shard: int) -> Kind:
        return self._manifest.shards[shard].stratum, self._manifest.shards[shard].trainable

    def _entry(self, place: Place) -> LedgerEntry:
        shard = self._manifest.shards[place[0]]
        return LedgerEntry(shard.path, place[1], shard.stratum, self._users(place), self._rules[place], self._step)

    def _users(self, place: Place) -> int:
        size = self._manifest.block_rows
        return min(size, self._manifest.shards[place[0]].rows - place[1] * size)


def _named(stratum: int) -> str:
    return "no stratum" if stratum == NO_STRATUM else f"stratum {stratum}"
