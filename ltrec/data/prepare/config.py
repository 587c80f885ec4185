"""Options of `ltrec prepare`, one flat table; the defaults fit a log of user, item and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from ltrec.columns.kinds import ColumnConfig
from ltrec.columns.names import check_names
from ltrec.core.bounds import INT32, INT64, SHARE, Between, check_fields
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig

# Options that do not change a single byte of the result; the manifest leaves them out.
WITHOUT_EFFECT = ("sources", "engine", "memory_limit", "threads")

# Options that the manifest records under a former name: renaming an option must not change the digest of a data set.
RECORDED_AS = {"held_out_users": "cold_users", "held_out_seed": "cold_seed"}
# Options that a data set without columns does not record: its manifest equals that of a ltrec without these options.
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
    """Which rows to use: an SQL condition on the log's columns, such as event == "purchase"; empty = all."""
    columns: tuple[str, ...] = ()
    """Column names of csv and tsv files *without* a header line, in order; empty = the first line names them."""
    user: str = "user_id"
    """Column with the user id."""
    item: str = "item_id"
    """Column with the item id."""
    time: str = "timestamp"
    """Column with the time of the event; `order` if the log has none, and the order of files and rows is used."""
    time_unit: Literal["auto", "s", "ms", "us", "ns", "iso", "order"] = "auto"
    """Unit of the times: since 1970 (s, ms, us, ns), ISO 8601 text or typed timestamps (iso), or whole numbers of which only the
    order counts (order). auto = the unit, or common format such as 11/14/2023 10:13 PM, that fits most rows; other rows are
    rejected."""
    time_format: str = ""
    """Format of the times, as for strptime: %m/%d/%Y %H:%M:%S.%f %z. %f has up to nine digits; without a zone, times are UTC."""
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
    """What a user's activity counts: training events, or only targets among them (at least 1 for trainable users)."""
    reject_budget: Annotated[float, SHARE] = 0.001
    """Largest share of rows that may be rejected; beyond it, prepare stops."""
    ties: Literal["auto", "source", "hash"] = "auto"
    """Order of a user's events with the same time: that of the log, or by a hash of user, time and item. auto = that of the log,
    unless the log is sorted by item id, which a model would learn."""
    tie_seed: Annotated[int, Between(0, INT64)] = 0
    """Seed of the order for ties=hash."""
    duplicates: Literal["auto", "keep", "drop_exact", "keep_first", "keep_last"] = "auto"
    """drop_exact: of rows with the same user, item and time the first is kept; keep_first, keep_last: one event per user and item.
    auto = drop_exact, but keep if times are only days."""
    min_user_events: Annotated[int, Between(1, INT32)] = 1
    """Users with fewer events are dropped."""
    min_item_events: Annotated[int, Between(1, INT32)] = 1
    """Items with fewer events are dropped."""
    iterate: bool = True
    """Apply both minimums repeatedly until nothing changes (k-core); false = items once, then users once."""
    history_cap: Annotated[int, Between(3, INT32)] = 10_000
    """Number of most recent events kept per user, at least 3."""
    split: Literal["leave_one_out", "global_time"] = "leave_one_out"
    """leave_one_out: last event = test, last but one = validation; global_time: two cuts in time, the same for all users."""
    valid_from: str = "0.8"
    """global_time: start of validation; a share of the events (0.8), a date (2014-07-01) or seconds since 1970."""
    test_from: str = "0.9"
    """global_time: start of test, later than valid_from."""
    held_out_users: Annotated[float, SHARE] = 0.0
    """Share of held-out users, who are chosen by a hash of their id, left out of training, and used in test only."""
    held_out_seed: Annotated[int, Between(0, INT64)] = 0
    """Seed of the choice of held-out users."""
    strata: Annotated[int, Between(1, MOST_STRATA)] = 5
    """Desired number of activity strata; users with equal activity stay together, so there may be fewer."""
    strata_bounds: tuple[Annotated[int, Between(1, INT32)], ...] = ()
    """Explicit smallest activity of each stratum, such as [1, 5, 20], instead of equal user shares."""
    head_share: Annotated[float, SHARE] = 0.2
    """Share of users in the head, the most active ones; the nearest possible cut is used."""
    block_rows: Annotated[int, Between(1, 1_000_000)] = 4096
    """Users per row group."""
    shard_events: Annotated[int, Between(1, 1_000_000_000)] = 20_000_000
    """Events per shard file, about 80 MB."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """What sorts the log: duckdb, in this process; spark, on a cluster or this machine (extra `spark`). The shards are the same."""
    memory_limit: str = "1GB"
    """Memory limit of the sort engine; beyond it, data is spilled to disk next to the output."""
    threads: Annotated[int, Between(0, 1024)] = 0
    """Threads of the sort engine; 0 = all cores, at most 8. A Spark cluster has its own settings."""

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
            raise ValueError(f"time_format is {self.time_format!r} and time_unit {self.time_unit!r}; give only one of them")
        check_names(self.event_columns, "event")
        for name in self.targets:
            if getattr(self.event_columns.get(name), "kind", "") != "category":
                raise ValueError(f"targets names {name!r}, which must be a column of kind category in event_columns")
            if not self.targets[name]:
                raise ValueError(f"targets.{name} is empty; name the values that make an event a target")
        if self.strata_by == "targets" and not self.targets:
            raise ValueError("strata_by is 'targets', but targets is empty; name the values that make an event a target")
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
