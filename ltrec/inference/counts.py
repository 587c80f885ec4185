"""Counts of a prediction job: known and unknown users, items and values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from ltrec.core.counting import counted


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that add up over shards.

    Attributes:
        users: rows of the answer.
        empty: users without a known item, whose answer is by popularity.
        events: items of their histories, known or not.
        unknown_items: those of them that the data set lacks; they are skipped.
        truncated: users with more known items than the data set keeps of a user; the oldest are left out.
        unknown_candidates: candidates that the data set lacks; they are skipped.
        recommendations: items of all answers.
        exact: users whom an index left with too few items, so that all items were scored.
    """

    users: int = 0
    empty: int = 0
    events: int = 0
    unknown_items: int = 0
    truncated: int = 0
    unknown_candidates: int = 0
    recommendations: int = 0
    exact: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def to_dict(self) -> dict[str, int]:
        """JSON values."""
        return asdict(self)

    def notes(self) -> list[str]:
        """Notes for the user, one line each."""
        found = []
        if self.unknown_items:
            found.append(f"{counted(self.unknown_items, 'item')} of {self.events:,} skipped: the data set does not know them")
        if self.empty:
            found.append(
                f"{counted(self.empty, 'user')} without a known item: popular items of the least active users (source popularity)"
            )
        if self.truncated:
            found.append(f"{counted(self.truncated, 'history', 'histories')} over the data set's limit: the oldest items left out")
        if self.unknown_candidates:
            found.append(f"{counted(self.unknown_candidates, 'candidate')} skipped: the data set does not know them")
        if self.exact:
            found.append(f"{counted(self.exact, 'user')} ranked by all items: the index left too few")
        return found
