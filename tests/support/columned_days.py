"""A log in two days with columns of events, items and users; the parent, the grown data set and the full prepare of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ltrec.columns.kinds.categories import CategoriesConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.time import TimeConfig
from ltrec.columns.kinds.vector import VectorConfig
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig
from tests.support.appended import OPTIONS, Grown, two_days
from tests.support.logs import write_csv

EVENTS = ("user_id", "item_id", "timestamp", "kind", "price", "since", "conf")
ITEMS = ("item_id", "genres", "make", "cost", "text")
USERS = ("user_id", "job", "age")
EVENT_COLUMNS = {"type": CategoryConfig(column="kind", min_count=2), "price": NumberConfig(log=True), "since": TimeConfig()}
ITEM_COLUMNS = {
    "genres": CategoriesConfig(),
    "make": CategoryConfig(min_count=2),
    "cost": NumberConfig(),
    "text": VectorConfig(width=2),
}
USER_COLUMNS = {"job": CategoryConfig(), "age": NumberConfig()}
KINDS = ("view", "buy", "cart", "like")


@dataclass(frozen=True)
class ColumnedDay:
    """Rows of a log and of the tables that come with it; no table if it is empty."""

    log: list[tuple]
    items: list[tuple] = field(default_factory=list)
    users: list[tuple] = field(default_factory=list)


def columned_days(seed: int = 0) -> tuple[ColumnedDay, ColumnedDay]:
    """Two days: new items, users and values come on the second; some values of the first are rare, or never trained on."""
    draw, made, seen = np.random.default_rng(seed), [], [set[str](), set[str]()]
    for number, rows in enumerate(two_days(seed)):
        log = [(*row, *_of_event(draw, number)) for row in rows]
        fresh = [sorted({row[place] for row in rows} - seen[place]) for place in (0, 1)]
        for place in (0, 1):
            seen[place] |= set(fresh[place])
        items = [_of_item(draw, item, number) for item in [*fresh[1], f"alone {number}"] if draw.random() < 0.8]
        users = [_of_user(draw, user, number) for user in [*fresh[0], f"nobody {number}"] if draw.random() < 0.8]
        made.append(ColumnedDay(log, items, users))
    return made[0], made[1]


def config_of_day(folder: Path, *numbers: int, **options: Any) -> PrepareConfig:
    """The config for the files of some days; options may be others."""
    logs = tuple(str(folder / f"day-{n}.csv") for n in numbers)
    one = f"[{''.join(map(str, numbers))}]"
    items, users = (str(folder / f"{name}-{one}.csv") for name in ("items", "users"))
    return PrepareConfig(
        sources=logs,
        **{
            **OPTIONS,
            "event_columns": EVENT_COLUMNS,
            "weight": "conf",
            "items": ItemsConfig(items, columns=ITEM_COLUMNS),
            "users": UsersConfig(users, columns=USER_COLUMNS),
            **options,
        },
    )


def write_days(folder: Path, days: tuple[ColumnedDay, ColumnedDay]) -> None:
    """Logs and tables of both days."""
    for number, day in enumerate(days):
        write_csv(folder / f"day-{number}.csv", day.log, EVENTS)
        write_csv(folder / f"items-{number}.csv", day.items, ITEMS)
        write_csv(folder / f"users-{number}.csv", day.users, USERS)


def grow(folder: Path, days: tuple[ColumnedDay, ColumnedDay] | None = None, *, recut: bool = False, **options: Any) -> Grown:
    """Prepare the first day, append the second, and prepare both."""
    write_days(folder, days or columned_days())
    prepare(config_of_day(folder, 0, **options), folder / "parent")
    append(config_of_day(folder, 1, **options), folder / "parent", folder / "grown", recut=recut)
    prepare(config_of_day(folder, 0, 1, **options), folder / "full", like=folder / "parent", recut=recut)
    return Grown(folder, options)


def _of_event(draw: np.random.Generator, number: int) -> tuple:
    kind = draw.choice([*KINDS[: 2 + number], f"rare {draw.integers(40)}", f"of day {number}", None], p=_shares(number))
    price = None if draw.random() < 0.2 else float(draw.integers(-9, 99)) / 4
    since = None if draw.random() < 0.3 else int(draw.integers(1 << 30))
    return kind, price, since, float(draw.integers(0, 5)) / 4 + 0.25 * number


def _shares(number: int) -> np.ndarray:
    weights = np.array([*[4] * (2 + number), 1, 2, 1], float)
    return weights / weights.sum()


def _of_item(draw: np.random.Generator, item: str, number: int) -> tuple:
    genres = [f"g{g}" for g in range(3 + 2 * number) if draw.random() < 0.4]
    make = draw.choice(["ann", "bob", f"m{draw.integers(9)}", f"new {number}"])
    text = None if draw.random() < 0.2 else " ".join(str(float(x)) for x in draw.integers(-4, 9, 2))
    return item, "|".join(genres) or None, make, None if draw.random() < 0.2 else float(draw.integers(99)), text


def _of_user(draw: np.random.Generator, user: str, number: int) -> tuple:
    return user, draw.choice(["cook", "nurse", f"job {number}", f"rare {draw.integers(50)}"]), int(draw.integers(9, 99))
