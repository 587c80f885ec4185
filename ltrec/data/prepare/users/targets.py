"""Targets chosen by event type (`prepare.targets`): which events are targets, and the positions of every user. All events are
history.

leave_one_out   last target = test, last but one = validation, if there is history before it; training ends there
global_time     first target after the cut
trainable       a training event other than the user's first is a target
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError, nearest
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, identifier, quoted
from ltrec.data.prepare.engines.protocol import Engine

Codes = Mapping[str, tuple[int, ...]]
"""Field of a categorical column -> codes of the values that make an event a target."""


def target_codes(connection: Connection, config: PrepareConfig, columns: Sequence[Declared]) -> Codes:
    """The codes of `prepare.targets`; empty if all events are targets.

    Raises:
        UserError: a value that no event has, most likely misspelled.
    """
    found = {}
    for column in columns:
        if values := config.targets.get(column.name, ()):
            listed = ", ".join(map(quoted, values))
            query = f"SELECT value, code FROM {column.vocabulary} WHERE value IN ({listed}) ORDER BY code"
            codes = dict(connection.execute(query).fetchall())
            for value in values:
                if value not in codes:
                    raise _unknown(connection, column, value)
            found[column.field] = tuple(codes.values())
    return found


def _unknown(connection: Connection, column: Declared, value: str) -> UserError:
    known = [v for (v,) in connection.execute(f"SELECT value FROM {column.vocabulary} ORDER BY value LIMIT 100").fetchall()]
    shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return UserError(f"`targets.{column.name}` names {value!r}{nearest(value, known)}, which no event has; it has {shown}")


def numbered_events(codes: Codes) -> str:
    """SQL: the events with their `place` in the user's history, from 0, and `is_target`."""
    condition = " AND ".join(f"{identifier(field)} IN ({', '.join(map(str, found))})" for field, found in codes.items())
    place = "row_number() OVER (PARTITION BY user_key ORDER BY seconds, sub_second, tie) - 1"
    return f"(SELECT user_key, seconds, {condition} AS is_target, {place} AS place FROM events)"


def last_targets(engine: Engine) -> tuple[str, dict[str, str]]:
    """SQL of leave_one_out: aggregates per user, and the positions derived from them."""
    aggregate, (last, second, third) = engine.last_three("place", "is_target")
    return f", count(*) FILTER (WHERE is_target) AS targets, {aggregate}", {
        "train": f"CASE WHEN held_out THEN 0 WHEN {second} >= 1 THEN {second} ELSE count END",
        "valid_at": f"CASE WHEN NOT held_out AND {second} >= 1 THEN {second} ELSE -1 END",
        "test_at": f"CASE WHEN {second} >= 1 OR (held_out AND {last} >= 1) THEN {last} ELSE -1 END",
        "train_targets": f"CASE WHEN held_out THEN 0 WHEN {second} >= 1 THEN targets - 2 ELSE targets END",
        "last_trained": f"CASE WHEN held_out THEN -1 WHEN {second} >= 1 THEN {third} ELSE {last} END",
    }


def targets_after(valid: int, test: int) -> tuple[str, dict[str, str]]:
    """SQL of global_time: aggregates per user, and the positions derived from them."""
    before = f"FILTER (WHERE is_target AND seconds < {valid})"
    counts = (
        f", count(*) {before} AS targets, coalesce(max(place) {before}, -1) AS last_target"
        f", coalesce(min(place) FILTER (WHERE is_target AND seconds >= {valid} AND seconds < {test}), -1) AS first_valid"
        f", coalesce(min(place) FILTER (WHERE is_target AND seconds >= {test}), -1) AS first_test"
    )
    return counts, {
        "train": "CASE WHEN held_out THEN 0 ELSE before_valid END",
        "valid_at": "CASE WHEN held_out THEN -1 ELSE first_valid END",
        "test_at": "first_test",
        "train_targets": "CASE WHEN held_out THEN 0 ELSE targets END",
        "last_trained": "CASE WHEN held_out THEN -1 ELSE last_target END",
    }


def describe_targets(config: PrepareConfig, codes: Codes, id_of_code: Mapping[str, npt.NDArray[np.int32]]) -> dict[str, Any]:
    """Targets in the manifest's split: by column, the ids that make an event a target, and which events activity counts."""
    if not codes:
        return {}
    ids = {field.partition(".")[2]: sorted(id_of_code[field][list(found)].tolist()) for field, found in codes.items()}
    return {"targets": ids, "strata_by": config.strata_by}
