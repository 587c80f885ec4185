"""Where training ends: from per-user counts to positions in each user's history.

leave_one_out   last event = test, last but one = validation; needs three events, shorter users are train-only
global_time     target = first event after the cut, history = everything before it; position 0 = no history (cold)
held-out users  left out of training; only their test target remains (the setting of LTP)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import quoted
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.times.choice import parse_date
from ltrec.data.prepare.users.targets import Codes, last_targets, numbered_events, targets_after


@dataclass(frozen=True, slots=True)
class Cuts:
    """Times, in seconds, at which validation and test begin for all users."""

    valid: int
    test: int


def find_cuts(engine: Engine, config: PrepareConfig, latest: int) -> Cuts | None:
    """The cuts of a global_time split; None for leave_one_out.

    Raises:
        UserError: a cut is neither a share, a date nor a number, or validation does not come before test.
    """
    if config.split == "leave_one_out":
        return None
    cuts = Cuts(_cut(engine, config.valid_from, "valid_from"), _cut(engine, config.test_from, "test_from"))
    if not cuts.valid < cuts.test <= latest:
        raise UserError(
            f"`valid_from`={config.valid_from} and `test_from`={config.test_from} fall on {cuts.valid} and {cuts.test};"
            f" validation must begin before test, and the last event ({latest}) must not be before test"
        )
    return cuts


def is_share(text: str) -> bool:
    """Whether a cut is given as a share of the events."""
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def kept_cuts(split: Mapping[str, Any]) -> Cuts | None:
    """The cuts of a data set, by its manifest's split section; None for leave_one_out."""
    return Cuts(split["valid_time"], split["test_time"]) if split["kind"] == "global_time" else None


def _cut(engine: Engine, text: str, key: str) -> int:
    """The given time; for a share, the event time that has the nearest share of events before it (ties: the earlier)."""
    if not is_share(text):
        try:
            return int(float(text))
        except (ValueError, OverflowError):
            return parse_date(text, key)
    (row,) = engine.rows(
        f"""SELECT seconds FROM (
          SELECT seconds, sum(count) OVER (ORDER BY seconds) - count AS before, sum(count) OVER () AS total
          FROM (SELECT seconds, count(*) AS count FROM events GROUP BY seconds))
        ORDER BY abs(before - {float(text)!r} * total), seconds LIMIT 1"""
    )
    return int(row[0])


def make_users(engine: Engine, config: PrepareConfig, cuts: Cuts | None, codes: Codes) -> None:
    """Create table `users`: one row per user with the counts that later steps use.

    user_key, user_id, count (all events), held_out (kept out of training)
    train, valid_at, test_at   as in the shards, before the history cap
    activity, last_trained     what strata go by; position of the last training event that can be a target, -1 = none
    """
    names = "(SELECT *, 0 AS out FROM names) AS named"
    if config.held_out_users:
        hashed = f"md5_number_upper(concat({quoted(f'{config.held_out_seed}:')}, user_id))::HUGEINT"
        names = engine.computed("names", out=f"({hashed} < {int(config.held_out_users * 2**64)}::HUGEINT)::BIGINT")
    counts = "count(*) AS count"
    if cuts:
        counts += f", count(*) FILTER (WHERE seconds < {cuts.valid}) AS before_valid"
        counts += f", count(*) FILTER (WHERE seconds < {cuts.test}) AS before_test"
    more, found = _places(engine, cuts, codes)
    activity = "CASE WHEN train > 0 THEN greatest(train_targets, 1) ELSE 0 END" if config.strata_by == "targets" else "train"
    engine.make(
        "users",
        f"""SELECT user_key, user_id, count, held_out, train, valid_at, test_at, {activity} AS activity, last_trained
        FROM (SELECT *, {", ".join(f"{what} AS {name}" for name, what in found.items())}
        FROM (SELECT user_key, {counts}{more} FROM {numbered_events(codes) if codes else "events"} GROUP BY user_key)
        JOIN (SELECT user_key, user_id, out = 1 AS held_out FROM {names}) USING (user_key))""",
    )
    engine.drop("names")


def _places(engine: Engine, cuts: Cuts | None, codes: Codes) -> tuple[str, dict[str, str]]:
    """SQL: further aggregates per user, and train, valid_at, test_at, train_targets and last_trained from them."""
    if codes:
        return last_targets(engine) if cuts is None else targets_after(cuts.valid, cuts.test)
    train, valid, test = _leave_one_out() if cuts is None else _global_time()
    return "", {"train": train, "valid_at": valid, "test_at": test, "train_targets": train, "last_trained": f"{train} - 1"}


def _leave_one_out() -> tuple[str, str, str]:
    train = "CASE WHEN held_out THEN 0 WHEN count >= 3 THEN count - 2 ELSE count END"
    valid = "CASE WHEN NOT held_out AND count >= 3 THEN count - 2 ELSE -1 END"
    test = "CASE WHEN count >= 3 OR (held_out AND count = 2) THEN count - 1 ELSE -1 END"
    return train, valid, test


def _global_time() -> tuple[str, str, str]:
    train = "CASE WHEN held_out THEN 0 ELSE before_valid END"
    valid = "CASE WHEN NOT held_out AND before_test > before_valid THEN before_valid ELSE -1 END"
    test = "CASE WHEN count > before_test THEN before_test ELSE -1 END"
    return train, valid, test


def describe(config: PrepareConfig, cuts: Cuts | None) -> dict[str, Any]:
    """The manifest's split section."""
    found = {"valid_time": cuts.valid, "test_time": cuts.test} if cuts else {}
    return {"kind": config.split, "cold_users": config.held_out_users, **found}
