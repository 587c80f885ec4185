"""What the steps of prepare ask for, from Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyspark
from pyspark.sql import SparkSession

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.data.prepare.columns.codes import coded, make_vocabularies
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, database, identifier, user_key
from ltrec.data.prepare.engines.rows import REJECTED, judged, tie, when
from ltrec.data.prepare.engines.spark.partition import extended, mapped, queried
from ltrec.data.prepare.engines.spark.reading import COUNTED, Reader, chosen_types, read_tasks, staged_schema, together
from ltrec.data.prepare.engines.spark.session import open_session
from ltrec.data.prepare.engines.spark.shards import SortedShards
from ltrec.data.prepare.engines.spark.staged import SparkStaged
from ltrec.data.prepare.engines.spark.tables import SparkTables
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.sorting.parts import Cut, StratumPart
from ltrec.data.prepare.staging import Counted
from ltrec.data.prepare.times.choice import TimeFormat

_PLACED = {"file": pa.int32(), "row": pa.int64(), "reason": pa.string(), "content": pa.string(), "item_id": pa.string()}
_KEYED = {"user_id": pa.string(), "user_key": pa.int64(), "seconds": pa.int64(), "sub_second": pa.int64(), "tie": pa.int64()}
_ODD = "*?[]{}\\:%,"


@contextmanager
def spark_engine(config: PrepareConfig, work: Path) -> Iterator[SparkEngine]:
    """The engine, with its tables in `work`, which all executors must see.

    Raises:
        UserError: Java is missing, Spark fails, `memory_limit` is not an amount of memory, or the path has characters of patterns.
    """
    if odd := sorted(set(str(work.absolute())) & set(_ODD)):
        raise UserError(f"engine=spark cannot write below {work.absolute().parent}: Spark reads {odd[0]!r} in a path as a pattern")
    # of its own: when a driver is killed, its tasks may go on writing for a moment into theirs
    (folder := work.absolute() / f"spark-{uuid4().hex}").mkdir()
    with (
        database(work, config.memory_limit, config.threads) as catalogue,
        open_session(config.threads, folder / "spill") as session,
    ):
        yield SparkEngine(session, catalogue, folder, work.absolute())


class SparkEngine(SparkTables):
    """See `Engine`."""

    made_by = f"spark {pyspark.__version__}"
    moment = "xxhash64(user_key, seconds, sub_second)"

    def __init__(self, session: SparkSession, catalogue: Connection, folder: Path, work: Path) -> None:
        super().__init__(session, catalogue, folder)
        self._work, self._sorted_folder, self._relations = work, folder / "sorted", 0
        self._columns: tuple[Declared, ...] = ()

    @property
    def staged(self) -> SparkStaged:
        """The table `staged`."""
        return SparkStaged(self, staged_schema(self._columns))

    def stage(
        self, sources: Sequence[InputFile], config: PrepareConfig, columns: Sequence[Declared], on_progress: Progress
    ) -> Counted:
        """Run the readers in the executors."""
        self._columns, tasks = tuple(columns), tuple(read_tasks(sources, config))
        types = chosen_types(sources, config, columns) if config.where else {}
        numbers = self.session.range(0, len(tasks), 1, len(tasks))
        self.save("read", mapped(numbers, Reader(tasks, config, self._columns, types), staged_schema(columns)))
        notes = [note for (note,) in self.rows(f"SELECT content FROM read WHERE file = {COUNTED} ORDER BY row")]
        counted, rows = together(notes, sources)
        self.make("staged", self._in_the_log(rows) if counted.untimed else f"SELECT * FROM read WHERE file <> {COUNTED}")
        self.drop("read")
        on_progress("read", counted.rows, 0)
        return counted

    def _in_the_log(self, rows: Sequence[int]) -> str:
        """The rows that were read, their places in a file become places in the log; `rows` of every file."""
        starts = ", ".join(f"({file}, {before}L)" for file, before in enumerate([0, *accumulate(rows[:-1])]))
        own = ", ".join(
            "number + start AS number" if name == "number" else identifier(name) for name in staged_schema(self._columns).names
        )
        return f"SELECT {own} FROM read JOIN (SELECT * FROM VALUES {starts} AS starts (file, start)) USING (file)"

    def judge(self, chosen: TimeFormat) -> dict[str, int]:
        """Make the table `judged`: all that is said of a single row, with the key of its user and its place in the log."""
        per_row = (
            f"SELECT *, {when(chosen.per_second)}, {tie()}, {user_key('user_id')} AS user_key FROM judged WHERE reason IS NULL"
        )
        rejects = f"SELECT * FROM ({REJECTED})"
        schema = pa.schema([*_PLACED.items(), *_KEYED.items(), *((column.field, column.kind.staged) for column in self._columns)])
        good = ", ".join(
            f"{_bigint(name, kind)} AS {identifier(name)}" for name, kind in zip(schema.names, schema.types, strict=True)
        )
        query = (
            f"WITH judged AS ({judged(chosen).replace('FROM staged', 'FROM batch')}) SELECT {good} FROM ({per_row})"
            f" UNION ALL BY NAME {rejects}"
        )
        self.save("judged", queried(self.session.table("staged"), query, schema))
        self.drop("staged")
        found = self.rows("SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason")
        return {reason: int(count) for reason, count in found}

    def rejected(self) -> str:
        """They go to the catalogue."""
        self.gather("rejected_rows", "SELECT file, row, reason, content FROM judged WHERE reason IS NOT NULL")
        return "SELECT * FROM rejected_rows"

    def make_events(self, chosen: TimeFormat, columns: Sequence[Declared]) -> None:  # noqa: ARG002 - times are whole seconds already
        """Items and values are numbered in the catalogue."""
        good = "judged WHERE reason IS NULL"
        self.gather("item_ids", f"SELECT DISTINCT item_id FROM {good}")
        self.catalogue.execute(
            "CREATE TABLE items AS SELECT item_id, row_number() OVER (ORDER BY item_id)::INTEGER - 1 AS code FROM item_ids;"
            " DROP TABLE item_ids"
        )
        self.lend("items")
        self.make("names", f"SELECT DISTINCT user_key, user_id FROM {good}")
        for column in columns:
            if column.kind.is_categorical:
                self.gather("log_values", f"SELECT DISTINCT {identifier(column.field)} FROM {good}")
                make_vocabularies(self.catalogue, [column], "log_values")
                self.catalogue.execute("DROP TABLE log_values")
                self.lend(column.vocabulary)
        values, joins = coded(columns)
        own = f"user_key, item_id, seconds, sub_second, tie{also(columns)}"
        self.make(
            "events",
            f"SELECT user_key, items.code, seconds, sub_second, tie{values} FROM (SELECT {own} FROM {good}) AS good"
            f" JOIN items USING (item_id){joins}",
        )
        self.drop("judged")

    def find_tied_moments(self) -> None:
        """Counted in the executors."""
        self.make("tied_at", f"SELECT {self.moment} AS moment FROM events GROUP BY {self.moment} HAVING count(*) > 1")

    def take_out(self, condition: str, rows: int, total: int) -> None:  # noqa: ARG002 - files are not changed in place
        """Write anew what is left."""
        if rows:
            self.replace("events", f"SELECT * FROM events WHERE NOT ({condition})")

    def computed(self, source: str, **expressions: str) -> str:
        """A view of the relation through the executors."""
        self._relations += 1
        name = f"computed_{self._relations}"
        extended(self.session.sql(f"SELECT * FROM {source}"), expressions).createOrReplaceTempView(name)
        return name

    def packed(self, names: Sequence[str]) -> str:
        """A struct."""
        return f"struct({', '.join(identifier(name) for name in names)})"

    def last_three(self, column: str, condition: str) -> tuple[str, tuple[str, str, str]]:
        """A user's list, sorted; `get` is NULL behind its end."""
        first, second, third = (f"coalesce(get(last_three, {n}), -1)" for n in range(3))
        listed = f"slice(sort_array(collect_list({column}) FILTER (WHERE {condition}), false), 1, 3)"
        return f"{listed} AS last_three", (first, second, third)

    def sort(self, users: str, events: str, parts: tuple[StratumPart, ...], cut: Cut) -> SortedShards:
        """One file of users and one of events per shard."""
        found = SortedShards(self, parts, cut, self._sorted_folder, self._work)
        found.sort("users", self.session.sql(users), ["place"], [])
        found.sort("events", self.session.sql(events), ["place", "seconds", "sub_second", "tie"], ["sub_second", "tie"])
        self.drop("events")
        return found


def _bigint(name: str, kind: pa.DataType) -> str:
    return f"{identifier(name)}::BIGINT" if kind == pa.int64() and name in _KEYED else identifier(name)
