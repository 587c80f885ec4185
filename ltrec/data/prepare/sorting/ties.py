"""The order of a user's events with the same time: that of the log, unless the log is sorted by item id.

In a log sorted by item, the tied items of all users are in the same order, and a model that learns this order predicts the next
item of a tie without knowing anything about the user. `hash` orders a tie by a hash of seed, user, time, item and the number of
earlier occurrences of the item in the tie: every order is equally likely, and the order of the rows does not matter.

`auto` measures it. In random order, consecutive events inside ties (of different items) have ascending item ids half of the time:
50 to 56 % in four public logs with ties, but 100 % in Amazon Digital Music. Ids are compared both by the number that they end in
and as text, because a log may be sorted either way (Music, sorted by number: 80 % ascending as text), and both directions count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.protocol import Engine, counted

ENOUGH_PAIRS = 40
MONOTONE = 0.9
"""In random order, the probability that 36 or more of 40 pairs go in the same direction is below 2 * 10^-7."""
SUSPECT = 0.65
"""From this share on, the log may be partly sorted by item: its order is kept, with a warning."""

_BY_NUMBER = """
CREATE TABLE numbered AS
SELECT code, (rank() OVER (ORDER BY number))::BIGINT AS number
FROM (SELECT code, TRY_CAST(regexp_extract(item_id, '[0-9]+$') AS HUGEINT) AS number FROM items) WHERE number IS NOT NULL"""

# Codes are numbered in the order of the ids as text.
_COUNT = """
SELECT (SELECT count(*) FROM events), count(before),
       count(*) FILTER (WHERE before <> pairs.code), count(*) FILTER (WHERE before < pairs.code),
       count(*) FILTER (WHERE earlier.number <> later.number), count(*) FILTER (WHERE earlier.number < later.number)
FROM (SELECT code, lag(code) OVER (PARTITION BY user_key, seconds, sub_second ORDER BY tie) AS before FROM tied) AS pairs
LEFT JOIN numbered AS later ON later.code = pairs.code LEFT JOIN numbered AS earlier ON earlier.code = before
WHERE before IS NOT NULL"""

_SINGLE = """
(SELECT events.*, item_id, row_number() OVER (PARTITION BY user_key, seconds, sub_second, events.code ORDER BY tie) AS occurrence
 FROM events JOIN items ON events.code = items.code) AS single"""


@dataclass(frozen=True, slots=True)
class TieBreak:
    """Statistics of ties, and the rule that was chosen.

    Attributes:
        rule: source or hash.
        events: number of events with the user and time of the event before.
        share: their share of all events.
        pairs: how many of them have another item than the event before.
        rising: share of these pairs with ascending item ids (in the clearer of the two orders of ids); 0.5 without pairs.
    """

    rule: str
    events: int
    share: float
    pairs: int
    rising: float

    @property
    def order(self) -> str:
        """Description of the order of events, for the manifest."""
        last = "file, then row" if self.rule == "source" else "a hash of user, time and item"
        return f"time in full resolution, then {last}"

    def summary(self) -> dict[str, Any]:
        """Counts for the manifest."""
        return asdict(self)

    def notes(self) -> list[str]:
        """A warning if the order of the log was kept and looks partly sorted by item."""
        monotone = max(self.rising, 1 - self.rising)
        if self.rule == "hash" or self.pairs < ENOUGH_PAIRS or monotone < SUSPECT:
            return []
        way = "rise" if self.rising > 0.5 else "fall"
        return [f"inside ties item ids {way} in {monotone:.0%}: models may learn the log's order; ties=hash takes it away"]


def order_ties(engine: Engine, config: PrepareConfig, columns: Sequence[Declared]) -> TieBreak:
    """Measure the ties in `events`; if the rule is hash, overwrite its column `tie`."""
    engine.catalogue.execute(_BY_NUMBER)
    engine.lend("numbered")
    total, tied, *counts = counted(engine, _COUNT)
    engine.drop("numbered", "tied", "tied_at")
    pairs, rising = _clearest(counts[:2], counts[2:])
    rule = config.ties
    if rule == "auto":
        rule = "hash" if pairs >= ENOUGH_PAIRS and max(rising, 1 - rising) >= MONOTONE else "source"
    if rule == "hash":
        words = f"concat_ws(':', {config.tie_seed}, user_key, seconds, sub_second, occurrence, item_id)"
        hashed = engine.computed(_SINGLE, hashed=f"(md5_number_lower({words})::HUGEINT - {1 << 63})::BIGINT")
        engine.replace("events", f"SELECT user_key, code, seconds, sub_second, hashed AS tie{also(columns)} FROM {hashed}")
    return TieBreak(rule, tied, tied / max(1, total), pairs, rising)


def _clearest(*orders: list[int]) -> tuple[int, float]:
    """(pairs, share ascending) in the order of ids that is farthest from random, in standard deviations."""
    pairs, rising = max(orders, key=lambda order: (abs(2 * order[1] - order[0]) / max(1, order[0]) ** 0.5, order[0]))
    return pairs, rising / pairs if pairs else 0.5
