"""`ltrec.fetch`: a public data set, hash-checked, or a synthetic log."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ltrec.api.session import session
from ltrec.core.errors import UserError
from ltrec.data.fetch import DATASETS, SYNTHETIC, SyntheticConfig, fetch_synthetic
from ltrec.data.fetch import fetch as fetch_published
from ltrec.data.fetch.events import ITEMS, NOTICE, USERS
from ltrec.terminal.progress_row import PhaseBar, megabytes


@dataclass(frozen=True, slots=True)
class Fetched(os.PathLike[str]):
    """An event log that was fetched or made. It is accepted wherever its file is.

    Attributes:
        events: the Parquet file: user_id, item_id, timestamp, and further columns of a synthetic log that has them.
        notice: where it is from, and under which terms.
        items, users: Parquet files with their columns, by `item_id` and `user_id`; None if the source has none.
    """

    events: Path
    notice: str
    items: Path | None = None
    users: Path | None = None

    def __fspath__(self) -> str:
        """The file."""
        return str(self.events)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        tables = {name: str(path) for name, path in (("items", self.items), ("users", self.users)) if path is not None}
        return {"events": str(self.events), "notice": self.notice, **tables}


def fetch(
    name: str, out: str | os.PathLike[str] | None = None, *, progress: bool = False, **options: float | str | None
) -> Fetched:
    """Get an event log: a public data set from the first mirror that has it, or a synthetic one.

    Args:
        name: a published data set (`ltrec.data.fetch.DATASETS`) or `synthetic`.
        out: folder for events.parquet; None = data/raw/NAME.
        progress: show how far the download is.
        options: of `synthetic` alone: users, items, seed, events_per_user, columns, category_share, new_items.

    Raises:
        UserError: an unknown name or option, no mirror gives the data, or `out` cannot be written.
    """
    folder = Path("data/raw") / name if out is None else Path(out)
    given = {key: value for key, value in options.items() if value is not None}
    with session(progress=progress) as call:
        if name == SYNTHETIC:
            config = _synthetic(given)
            path, tables = fetch_synthetic(config, folder), {ITEMS} if config.columns != "none" else set()
        elif given:
            option = next(iter(given)).replace("_", "-")
            raise UserError(f"--{option} shapes a synthetic log; {name} is what it is. Leave the option out")
        else:
            with PhaseBar(call.screen, megabytes) as bar:
                path = fetch_published(name, folder, on_progress=bar.update, on_note=call.screen.note)
            tables = {*DATASETS[name].sha256}
        items, users = (folder / table if table in tables else None for table in (ITEMS, USERS))
        return Fetched(path, (folder / NOTICE).read_text(encoding="utf-8"), items, users)


def _synthetic(options: dict[str, Any]) -> SyntheticConfig:
    try:
        return SyntheticConfig(**options)
    except ValueError as error:
        name, _, fault = str(error).partition(" ")
        raise UserError(f"--{name.replace('_', '-')} {fault}") from None
    except TypeError:
        known = ", ".join(field.name for field in fields(SyntheticConfig))
        raise UserError(f"a synthetic log is shaped by {known}; got {', '.join(options)}") from None
