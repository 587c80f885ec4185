"""Options of `ltrec prepare`, one flat table; the defaults fit a log of user, item and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from ltrec.columns.kinds import ColumnConfig
from ltrec.columns.names import check_names
from ltrec.core.bounds import INT32, INT64, SHARE, Between, check_fields
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig

# Options that decide how the work is done but not one byte of the result; they are left out of the manifest.
WITHOUT_EFFECT = ("sources", "memory_limit", "threads")

# Options that the manifest records under their first name: the digest of a data set must not change because an option is renamed.
RECORDED_AS = {"held_out_users": "cold_users", "held_out_seed": "cold_seed"}
# Options that say nothing of a data set that does not use them: its manifest is that of a ltrec without them.
FOR_COLUMNS = ("event_columns", "weight", "items", "users", "targets", "strata_by")

MOST_STRATA = 100


@dataclass(frozen=True, slots=True)
class PrepareConfig:
    """Options of `ltrec prepare`.

    Raises:
        ValueError: a value out of range, or values that contradict each other.
    """

    name: str = ""
    """Name of the data set; empty = the name of the output folder."""
    sources: tuple[str, ...] = ()
    """Event logs: files, glob patterns or folders, read in this order (which breaks ties in time)."""
    format: Literal["auto", "csv", "tsv", "jsonl", "sequences", "parquet"] = "auto"
    """Format of the logs; auto = by file name (.csv .txt .dat .tsv .inter .data .jsonl .ndjson .parquet, text also .gz .bz2 .zst).
    sequences: a line per user, the user and then the items, oldest first."""
    delimiter: str = ""
    r"""Field separator of text, such as `;` or `::`; also `\t` or tab, and blank (any number of blanks). Empty = detected."""
    quoting: Literal["auto", "double", "multiline", "none"] = "auto"
    """Whether double quotes hold fields of text together: double, on one line; multiline, also over line breaks; none, quotes are
    plain characters. auto = double in csv, none in tsv unless its header is quoted."""
    null_values: tuple[str, ...] = ("NA", "N/A", "#N/A", "<NA>", "NULL", "None", "nil", "nan", "NaT", r"\N", "undefined")
    """Texts that mean a missing user, item or time, in any case; an empty or blank field always does."""
    where: str = ""
    """Which rows to take: an SQL condition on the log's columns, such as event == "purchase"; empty = all."""
    columns: tuple[str, ...] = ()
    """Column names of csv and tsv files *without* a header line, in order; empty = the first line names them."""
    user: str = "user_id"
    """Column with the user id."""
    item: str = "item_id"
    """Column with the item id."""
    time: str = "timestamp"
    """Column with the time of the event; `order` where the log has none: the order of files and rows is the time."""
    time_unit: Literal["auto", "s", "ms", "us", "ns", "iso", "order"] = "auto"
    """Unit of the times: since 1970, ISO 8601 text or typed timestamps, or `order`: whole numbers of which only the order counts.
    auto = the one unit, or usual form such as 11/14/2023 10:13 PM, that fits most rows; rows that do not fit it are rejected."""
    time_format: str = ""
    """How times are written, in the words of strptime: %m/%d/%Y %H:%M:%S.%f %z. %f has up to nine digits; no zone is UTC."""
    earliest: str = "1990-01-01"
    """Times before this date are rejected as implausible (not for `order`)."""
    latest: str = "2100-01-01"
    """Times from this date on are rejected as implausible (not for `order`)."""
    event_columns: Mapping[str, ColumnConfig] = field(default_factory=dict)
    """Columns of the log that travel with the events: name -> kind (category, number or time), or {kind: ..., column: ..., and
    options of the kind}, such as {event_type: category, price: {kind: number, log: true}}."""
    weight: str = ""
    """Column with what an event counts for, a number of at least 0; empty = all count alike."""
    items: ItemsConfig = field(default_factory=ItemsConfig)
    """A table of items, which gives them columns. Items that it alone knows get ids as well, after all others."""
    users: UsersConfig = field(default_factory=UsersConfig)
    """A table of users, which gives them columns."""
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which events are targets of training, validation and test: event column of kind category -> its values, such as
    {event_type: [purchase]}. All other events are history alone. Empty = all are targets."""
    strata_by: Literal["events", "targets"] = "events"
    """What a user's activity counts: training events, or those of them that are targets."""
    reject_budget: Annotated[float, SHARE] = 0.001
    """Largest share of rows that may be rejected before prepare refuses the log."""
    ties: Literal["auto", "source", "hash"] = "auto"
    """Order of a user's events at one time: that of the log, or of a hash of user, time and item. auto = that of the log, unless it
    is an order of item ids (a log sorted by item), which models learn."""
    tie_seed: Annotated[int, Between(0, INT64)] = 0
    """ties=hash: another number gives another order."""
    duplicates: Literal["auto", "keep", "drop_exact", "keep_first", "keep_last"] = "auto"
    """drop_exact: of rows with the same user, item and time the first stays; keep_first, keep_last: one event per user and item.
    auto = drop_exact, but keep where times are only days."""
    min_user_events: Annotated[int, Between(1, INT32)] = 1
    """Users with fewer events are dropped."""
    min_item_events: Annotated[int, Between(1, INT32)] = 1
    """Items with fewer events are dropped."""
    iterate: bool = True
    """Repeat both minimums until nothing changes (k-core); false = items once, then users once."""
    history_cap: Annotated[int, Between(3, INT32)] = 10_000
    """Most recent events kept per user, at least 3."""
    split: Literal["leave_one_out", "global_time"] = "leave_one_out"
    """leave_one_out: last event = test, last but one = validation; global_time: two cuts in time, the same for all users."""
    valid_from: str = "0.8"
    """global_time: start of validation; a share of the events (0.8), a date (2014-07-01) or seconds since 1970."""
    test_from: str = "0.9"
    """global_time: start of test, later than valid_from."""
    held_out_users: Annotated[float, SHARE] = 0.0
    """Share of held-out users: chosen by a hash of the id, kept out of training altogether and used in test only."""
    held_out_seed: Annotated[int, Between(0, INT64)] = 0
    """Another number chooses other held-out users."""
    strata: Annotated[int, Between(1, MOST_STRATA)] = 5
    """Number of activity strata to aim for; ties in activity may leave fewer."""
    strata_bounds: tuple[Annotated[int, Between(1, INT32)], ...] = ()
    """Explicit smallest activity of each stratum, such as [1, 5, 20], instead of equal user shares."""
    head_share: Annotated[float, SHARE] = 0.2
    """The head is the most active share of users nearest to this."""
    block_rows: Annotated[int, Between(1, 1_000_000)] = 4096
    """Users per row group."""
    shard_events: Annotated[int, Between(1, 1_000_000_000)] = 20_000_000
    """Events per shard file, about 80 MB."""
    memory_limit: str = "1GB"
    """Memory of the sort engine; more is spilled to disk beside the output."""
    threads: Annotated[int, Between(0, 1024)] = 0
    """Threads of the sort engine; 0 = all cores, at most 8."""

    def __post_init__(self) -> None:
        check_fields(self)
        bounds = self.strata_bounds
        if bounds and (bounds[0] != 1 or list(bounds) != sorted(set(bounds))):
            raise ValueError(f"strata_bounds is {list(bounds)}; it must start at 1 and rise")
        if len(bounds) > MOST_STRATA:
            raise ValueError(f"strata_bounds makes {len(bounds)} strata; at most {MOST_STRATA} fit the shards")
        if not self.delimiter.isascii() or set(self.delimiter) & set('\r\n"'):
            raise ValueError(f"delimiter is {self.delimiter!r}; it must be ASCII, without quotes and line breaks")
        if self.time_format and self.time_unit != "auto":
            raise ValueError(f"time_format is {self.time_format!r} and time_unit {self.time_unit!r}; one of them says it all")
        check_names(self.event_columns, "event")
        for name in self.targets:
            if getattr(self.event_columns.get(name), "kind", "") != "category":
                raise ValueError(f"targets names {name!r}, which must be a column of kind category in event_columns")
            if not self.targets[name]:
                raise ValueError(f"targets.{name} is empty; say which values are targets")
        if self.strata_by == "targets" and not self.targets:
            raise ValueError("strata_by is 'targets', but targets is empty; say which events are")
        if len({self.user, self.item, self.time}) < 3:
            raise ValueError(f"user, item and time must be three columns; got {self.user!r}, {self.item!r}, {self.time!r}")

    def identity(self) -> dict[str, Any]:
        """Options that decide the result, as the manifest keeps them."""
        plain = asdict(PrepareConfig())
        left_out = {"name", *WITHOUT_EFFECT}
        found = {RECORDED_AS.get(key, key): value for key, value in asdict(self).items() if key not in left_out}
        found = {key: value for key, value in found.items() if key not in FOR_COLUMNS or value != plain[key]}
        for table in ("items", "users"):
            found.get(table, {}).pop("source", None)  # its bytes count, not its place
        return found
