"""Types of the free-form sections of a manifest, for the keys that ltrec reads. There may be other keys."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from ltrec.core.bounds import INT64, SHARE, Between, OneOf
from ltrec.core.errors import UserError

MEND = "prepare the data again with --overwrite"
"""What to do about any damage to a prepared data set."""

Count = Annotated[int, Between(0, INT64)]
Share = Annotated[float, SHARE]
Time = Annotated[int, Between(-INT64, INT64)]


class Section(dict[str, Any]):
    """A section of a manifest that was read from disk: a missing key is reported as a fault of the data set."""

    def __missing__(self, key: str) -> Any:
        """Raise UserError."""
        raise UserError(f"the data set's manifest has no {key!r}; {MEND}")


class FileRef(TypedDict):
    """A file with the size and hash it had when it was read or written."""

    path: str
    bytes: Count
    sha256: str


class Ancestor(TypedDict, total=False):
    """A data set that was appended to, or from which users were removed: its digest, its number of source files and of the ids of
    its columns, and what changed."""

    digest: str
    items: Count
    files: Count
    events: Count
    users: Count
    new_users: Count
    new_items: Count
    crossed: Count
    late: Count
    known: Count
    replaced: Count
    recut: bool
    columns: dict[str, Count]
    known_rows: dict[str, Count]
    forgotten_users: Count
    forgotten_events: Count


class Source(TypedDict, total=False):
    """The input."""

    files: tuple[FileRef, ...]
    columns: dict[str, str]
    time_unit: str
    tie_break: str
    tables: dict[str, tuple[FileRef, ...]]
    lineage: tuple[Ancestor, ...]


class Options(TypedDict, total=False):
    """Options of prepare."""

    history_cap: Count
    duplicates: str
    where: str


class _Kind(TypedDict):
    kind: Annotated[str, OneOf("leave_one_out", "global_time")]


class Split(_Kind, total=False):
    """Kind of split and its cuts. `cold_users` is the share of held-out users, under the former name of the option."""

    cold_users: Share
    valid_time: Time
    test_time: Time
    targets: dict[str, tuple[Count, ...]]
    strata_by: Annotated[str, OneOf("events", "targets")]


class TieSummary(TypedDict):
    """Statistics of events with the time of the event before."""

    events: Count
    share: Share
    pairs: Count
    rising: Share
    rule: str


class Outsized(TypedDict):
    """An id with an implausible share of the events."""

    kind: str
    id: str
    events: Count
    share: Share


class Quantiles(TypedDict):
    """Quantiles of the number of events per user."""

    min: Count
    p25: Count
    median: Count
    p75: Count
    p95: Count
    p99: Count
    max: Count


class ReachFile(FileRef):
    """Distances of targets from histories: the file, and the counts of validation targets, [stratum][distance 0 to 3]."""

    valid: tuple[tuple[Count, Count, Count, Count], ...]


class TableSummary(TypedDict, total=False):
    """Counts of the rows of an item or user table."""

    rows: Count
    rejected: Count
    rejects: dict[str, Count]
    rejects_file: FileRef
    shortened: dict[str, Count]
    new: Count
    unused: Count
    without_row: Count
    events_without_row: Count


class PrepareSummary(TypedDict, total=False):
    """Counts of events by what happened to them."""

    rows: Count
    empty_files: Count
    unselected: Count
    rejected: Count
    rejects: dict[str, Count]
    rejects_file: FileRef | None
    duplicates: Count
    duplicate_rule: str
    late: Count
    filtered_events: Count
    filtered_users: Count
    filtered_items: Count
    filter_rounds: Count
    capped_events: Count
    capped_users: Count
    events: Count
    train_events: Count
    ties: TieSummary
    users: Count
    trainable_users: Count
    short_users: Count
    held_out_users: Count
    forgotten_users: Count
    forgotten_events: Count
    head_users: Count
    items: Count
    outsized: tuple[Outsized, ...]
    valid_targets: Count
    test_targets: Count
    cold_valid_targets: Count
    cold_test_targets: Count
    length_quantiles: Quantiles
    first_time: Time
    last_time: Time
    notes: tuple[str, ...]
    reach: ReachFile
    weight: dict[str, float]
    item_table: TableSummary
    user_table: TableSummary
