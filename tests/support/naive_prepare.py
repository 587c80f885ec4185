"""What prepare means, in plain Python over lists: the reference that the real pipeline is compared with. Slow and obvious."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq

from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig


@dataclass(frozen=True)
class NaiveRow:
    stratum: int
    activity: int
    train_events: int
    valid_at: int
    test_at: int
    items: tuple[str, ...]
    times: tuple[int, ...]
    orders: tuple[int, ...] = field(default=(), compare=False)  # of each event, its place in the log


@dataclass(frozen=True)
class NaiveData:
    rows: dict[str, NaiveRow]
    vocabulary: list[tuple[str, int]]
    lower_bounds: tuple[int, ...]
    head_from: int
    duplicates: int
    filtered: int
    capped: int


def naive_prepare(
    log: list[tuple[str, str, int | Fraction]],
    config: PrepareConfig,
    values: list[tuple] | None = None,
    is_target: list[bool] | None = None,
) -> NaiveData | None:
    """`log` holds (user, item, seconds) in source order, `values` the event columns of each row, `is_target` which are targets.

    None = prepare must refuse.
    """
    events = [(user, item, time, order) for order, (user, item, time) in enumerate(log)]
    single = _duplicates(events, _policy(events, config.duplicates), values or [()] * len(log))
    kept = _frequent(single, config)
    histories = in_order(kept, config)
    if len(histories) < 2:
        return None
    cuts = None
    if config.split == "global_time":
        cuts = tuple(_cut(kept, Fraction(text)) for text in (config.valid_from, config.test_from))
        if not cuts[0] < cuts[1]:
            return None
    flags = [True] * len(log) if is_target is None else is_target
    places, active = _positions(histories, config, cuts, None if is_target is None else flags)
    activity = [count for count in active.values() if count > 0]
    if not activity:
        return None
    bounds = tuple(config.strata_bounds) or (
        1,
        *sorted({c for k in range(1, config.strata) if (c := _cut_activity(activity, Fraction(k, config.strata)))}),
    )
    head = _cut_activity(activity, 1 - Fraction(str(config.head_share))) or max(activity) + 1
    rows, capped, counts = {}, 0, Counter()
    for user, history in histories.items():
        rows[user] = _row(history, *places[user], active[user], bounds, config.history_cap)
        capped += len(history) - len(rows[user].items)
        counts.update({item: 0 for _, item, _, _ in history})
        counts.update(rows[user].items[: rows[user].train_events])
    if not any(flags[order] for row in rows.values() for order in row.orders[1 : row.train_events]):
        return None
    vocabulary = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].encode()))
    return NaiveData(rows, vocabulary, bounds, head, len(events) - len(single), len(single) - len(kept), capped)


def _positions(
    histories: dict[str, list], config: PrepareConfig, cuts: tuple[int, int] | None, flags: list[bool] | None
) -> tuple[dict[str, tuple[int, int, int]], dict[str, int]]:
    """(train, valid, test) and the activity of every user; `flags` says which events are targets, None that all are."""
    places = {user: _places(user, history, config, cuts) for user, history in histories.items()}
    active = {user: train for user, (train, _, _) in places.items()}
    for user, history in histories.items() if flags is not None else ():
        target = [n for n, event in enumerate(history) if flags[event[3]]]
        places[user] = train, _, _ = _target_places(history, target, is_held_out(user, config), cuts)
        purchases = max(1, sum(n < train for n in target))
        active[user] = purchases if config.strata_by == "targets" and train else train
    return places, active


def _policy(events: list, policy: str) -> str:
    if policy != "auto":
        return policy
    return "keep" if all(time % 86400 == 0 for _, _, time, _ in events) else "drop_exact"


def in_order(events: list, config: PrepareConfig) -> dict[str, list]:
    """Histories by user; ties by source, or by the hash that the documentation of ltrec.data.prepare.sorting.ties describes."""
    histories = defaultdict(list)
    for event in sorted(events, key=lambda e: (e[2], e[3])):
        histories[event[0]].append(event)
    if config.ties == "source" or (config.ties == "auto" and not sorted_by_item(histories)):
        return dict(histories)
    return {user: sorted(history, key=_hashes(user, history, config)) for user, history in histories.items()}


def sorted_by_item(histories: dict[str, list]) -> bool:
    """Whether item ids, as numbers or as text, rise or fall in nine of ten of at least forty pairs inside ties."""
    pairs = [(a[1], b[1]) for h in histories.values() for a, b in itertools.pairwise(h) if a[2] == b[2] and a[1] != b[1]]
    numeric = [(int(a), int(b)) for a, b in pairs if a.isascii() and a.isdigit() and b.isascii() and b.isdigit()]
    numeric = [(a, b) for a, b in numeric if a != b]
    texts = [(a.encode(), b.encode()) for a, b in pairs]
    best = max((texts, numeric), key=lambda order: abs(sum(1 if a < b else -1 for a, b in order)) / max(1, len(order)) ** 0.5)
    rising = sum(a < b for a, b in best)
    return len(best) >= 40 and 10 * max(rising, len(best) - rising) >= 9 * len(best)


def _hashes(user: str, history: list, config: PrepareConfig):
    """A sort key; `history` in source order, so that the n-th occurrence of an item is that of the log."""
    occurrences: Counter = Counter()
    keys = {}
    user_key = int.from_bytes(hashlib.md5(user.encode()).digest()[8:], "little", signed=True)
    for _, item, time, order in history:
        occurrences[item, time] += 1
        words = (config.tie_seed, user_key, int(time), int(time % 1 * 10**18), occurrences[item, time], item)
        keys[order] = int.from_bytes(hashlib.md5(":".join(map(str, words)).encode()).digest()[8:], "little")
    return lambda event: (event[2], keys[event[3]])


def _duplicates(events: list, policy: str, values: list[tuple]) -> list:
    if policy == "keep":
        return events
    chosen: dict = {}
    for event in events:
        user, item, time, order = event
        key = (user, item, time, *values[order]) if policy == "drop_exact" else (user, item)
        before = chosen.setdefault(key, event)
        if (policy == "keep_first" and (time, order) < before[2:]) or (policy == "keep_last" and (time, order) > before[2:]):
            chosen[key] = event
    return list(chosen.values())


def _frequent(events: list, config: PrepareConfig) -> list:
    while True:
        items = Counter(item for _, item, _, _ in events)
        fewer = [e for e in events if items[e[1]] >= config.min_item_events]
        users = Counter(user for user, _, _, _ in fewer)
        fewer = [e for e in fewer if users[e[0]] >= config.min_user_events]
        if len(fewer) == len(events) or not config.iterate:
            return fewer
        events = fewer


def _cut(events: list, share: Fraction) -> int:
    times = sorted({int(time) for _, _, time, _ in events})
    return min(times, key=lambda t: (abs(Fraction(sum(e[2] < t for e in events)) - share * len(events)), t))


def _cut_activity(activity: list[int], share: Fraction) -> int | None:
    values = sorted(set(activity))[1:]
    return min(values, key=lambda v: (abs(Fraction(sum(a < v for a in activity), len(activity)) - share), v)) if values else None


def is_held_out(user: str, config: PrepareConfig) -> bool:
    first_half = int.from_bytes(hashlib.md5(f"{config.held_out_seed}:{user}".encode()).digest()[:8], "little")
    return first_half < int(config.held_out_users * 2**64)


def _places(user: str, history: list, config: PrepareConfig, cuts: tuple[int, int] | None) -> tuple[int, int, int]:
    n, held_out = len(history), is_held_out(user, config)
    if cuts is None:
        if held_out:
            return 0, -1, n - 1 if n >= 2 else -1
        return (n - 2, n - 2, n - 1) if n >= 3 else (n, -1, -1)
    times = [time for _, _, time, _ in history]
    before_valid, before_test = (sum(t < cut for t in times) for cut in cuts)
    valid = before_valid if before_test > before_valid else -1
    test = before_test if n > before_test else -1
    return (0, -1, test) if held_out else (before_valid, valid, test)


def _target_places(history: list, target: list[int], cold: bool, cuts: tuple[int, int] | None) -> tuple[int, int, int]:
    """Positions where only those in `target` are targets."""
    if cuts is None:
        if cold:
            return 0, -1, target[-1] if target and target[-1] >= 1 else -1
        return (target[-2], target[-2], target[-1]) if len(target) >= 2 and target[-2] >= 1 else (len(history), -1, -1)
    times = [int(event[2]) for event in history]
    valid = next((n for n in target if cuts[0] <= times[n] < cuts[1]), -1)
    test = next((n for n in target if times[n] >= cuts[1]), -1)
    return (0, -1, test) if cold else (sum(t < cuts[0] for t in times), valid, test)


def _row(history: list, train: int, valid: int, test: int, active: int, bounds: tuple[int, ...], cap: int) -> NaiveRow:
    stop = test + 1 if test >= 0 else len(history)
    first, last = max(0, stop - cap), min(len(history), stop + cap)
    stored = history[first:last]
    return NaiveRow(
        stratum=sum(active >= bound for bound in bounds) - 1,
        activity=active,
        train_events=max(0, min(train, last) - first),
        valid_at=valid - first if valid > first or (valid == 0 == first) else -1,
        test_at=test - first if test >= 0 else -1,
        items=tuple(item for _, item, _, _ in stored),
        times=tuple(int(time) for _, _, time, _ in stored),
        orders=tuple(order for _, _, _, order in stored),
    )


def read_back(folder: Path) -> tuple[dict[str, NaiveRow], list[tuple[str, int]]]:
    """A prepared data set in the reference's terms: rows by user, vocabulary by id. Fails on a user that occurs twice."""
    manifest = Manifest.load(folder)
    vocab = pq.read_table(folder / manifest.vocab.path).to_pylist()
    names = {row["item"]: row["item_id"] for row in vocab}
    rows: dict[str, NaiveRow] = {}
    for shard in manifest.shards:
        for row in pq.ParquetFile(folder / shard.path).read().to_pylist():
            assert row["user_id"] not in rows
            digest = hashlib.md5(row["user_id"].encode()).digest()
            assert row["user_key"] == int.from_bytes(digest[8:], "little", signed=True)
            rows[row["user_id"]] = NaiveRow(
                *(row[name] for name in ("stratum", "activity", "train_events", "valid_at", "test_at")),
                items=tuple(names[i] for i in row["items"]),
                times=tuple(row["times"]),
            )
    return rows, [(row["item_id"], row["train_count"]) for row in vocab]
