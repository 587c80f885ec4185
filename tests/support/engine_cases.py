"""What every engine of prepare must answer, as functions of an open engine."""

from __future__ import annotations

from ltrec.data.prepare.engines.protocol import Engine, counted

_ROWS = "SELECT user_key, place, user_key * 10 + place AS value FROM (SELECT 1 AS user_key UNION ALL SELECT 2) AS users"
_PLACES = " CROSS JOIN (SELECT 0 AS place UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS places"


def _filled(engine: Engine, name: str = "events") -> None:
    engine.make(name, _ROWS + _PLACES)


def rows_come_as_plain_tuples(engine: Engine) -> None:
    _filled(engine)
    assert engine.rows("SELECT user_key, count(*) FROM events GROUP BY user_key ORDER BY user_key") == [(1, 4), (2, 4)]


def appended_rows_may_come_from_the_table(engine: Engine) -> None:
    _filled(engine)
    engine.append("events", "SELECT * FROM events WHERE place = 3")
    assert counted(engine, "SELECT count(*), count(*) FILTER (WHERE place = 3) FROM events") == (10, 4)


def a_table_may_be_replaced_by_a_query_that_reads_it(engine: Engine) -> None:
    _filled(engine)
    engine.replace("events", "SELECT user_key, max(value) AS value FROM events GROUP BY user_key")
    assert engine.rows("SELECT user_key, value FROM events ORDER BY user_key") == [(1, 13), (2, 23)]


def few_and_many_events_are_taken_out(engine: Engine) -> None:
    for least, left in ((23, 7), (12, 2), (99, 8)):
        _filled(engine)
        condition = f"value >= {least}"
        engine.take_out(condition, counted(engine, f"SELECT count(*) FROM events WHERE {condition}")[0], 8)
        assert counted(engine, "SELECT count(*) FROM events") == (left,)
        engine.drop("events")


def columns_are_computed_by_duckdb(engine: Engine) -> None:
    _filled(engine)
    relation = engine.computed("events", half="value // 2", odd="(value % 2 = 1)::BIGINT")
    assert counted(engine, f"SELECT sum(half), sum(odd) FROM {relation}") == (64, 4)


def packed_columns_compare_in_their_order(engine: Engine) -> None:
    _filled(engine)
    best = f"SELECT user_key, max({engine.packed(['place', 'value'])}) AS best FROM events GROUP BY user_key"
    query = f"SELECT user_key, best.* FROM ({best}) AS single ORDER BY user_key"
    assert engine.rows(query) == [(1, 3, 13), (2, 3, 23)]


def the_three_last_places_are_found(engine: Engine) -> None:
    _filled(engine)
    for condition, wanted in (("place <> 2", (3, 1, 0)), ("place = 1", (1, -1, -1)), ("place > 9", (-1, -1, -1))):
        aggregate, three = engine.last_three("place", condition)
        query = f"SELECT {', '.join(three)} FROM (SELECT user_key, {aggregate} FROM events GROUP BY user_key) AS found"
        assert engine.rows(query) == [wanted, wanted]


def places_are_numbered_without_gaps(engine: Engine) -> None:
    engine.number("stored", f"SELECT user_key, place AS old, value FROM ({_ROWS + _PLACES}) AS given", "user_key, old DESC")
    assert engine.rows("SELECT place, value FROM stored ORDER BY place") == list(enumerate((13, 12, 11, 10, 23, 22, 21, 20)))


def tables_go_to_the_catalogue_and_back(engine: Engine) -> None:
    _filled(engine)
    engine.gather("totals", "SELECT user_key, sum(value) AS total FROM events GROUP BY user_key")
    engine.catalogue.execute("CREATE TABLE doubled AS SELECT user_key, total * 2 AS total FROM totals")
    engine.lend("doubled")
    query = "SELECT count(*), sum(total) FROM events JOIN doubled USING (user_key)"
    assert counted(engine, query) == (8, 4 * 2 * (10 + 11 + 12 + 13 + 20 + 21 + 22 + 23))
    engine.drop("doubled")


ENGINE_CASES = (
    rows_come_as_plain_tuples,
    appended_rows_may_come_from_the_table,
    a_table_may_be_replaced_by_a_query_that_reads_it,
    few_and_many_events_are_taken_out,
    columns_are_computed_by_duckdb,
    packed_columns_compare_in_their_order,
    the_three_last_places_are_found,
    places_are_numbered_without_gaps,
    tables_go_to_the_catalogue_and_back,
)
