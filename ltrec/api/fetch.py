"""`ltrec.fetch`: a public data set, hash-checked, or a synthetic log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.api.session import session
from ltrec.core.errors import UserError
from ltrec.data.fetch import SYNTHETIC, SyntheticConfig, fetch_synthetic
from ltrec.data.fetch import fetch as fetch_published
from ltrec.terminal.progress_row import StageBar, in_mb


@dataclass(frozen=True, slots=True)
class Fetched(os.PathLike[str]):
    """An event log that was fetched or made. It is accepted wherever its file is.

    Attributes:
        events: the Parquet file: user_id, item_id, timestamp.
        notice: where it is from, and under which terms.
    """

    events: Path
    notice: str

    def __fspath__(self) -> str:
        """The file."""
        return str(self.events)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"events": str(self.events), "notice": self.notice}


def fetch(name: str, out: str | os.PathLike[str] | None = None, *, progress: bool = False, **options: float | None) -> Fetched:
    """Get an event log: a public data set from the first mirror that has it, or a synthetic one.

    Args:
        name: a published data set (`ltrec.data.fetch.DATASETS`) or `synthetic`.
        out: folder for events.parquet; None = data/raw/NAME.
        progress: show how far the download is.
        options: of `synthetic` alone: users, items, seed, events_per_user.

    Raises:
        UserError: an unknown name or option, no mirror gives the data, or `out` cannot be written.
    """
    folder = Path("data/raw") / name if out is None else Path(out)
    given = {key: value for key, value in options.items() if value is not None}
    with session(progress=progress) as call:
        if name == SYNTHETIC:
            path = fetch_synthetic(_synthetic(given), folder)
        elif given:
            option = next(iter(given)).replace("_", "-")
            raise UserError(f"--{option} shapes a synthetic log; {name} is what it is. Leave the option out")
        else:
            with StageBar(call.screen, in_mb) as bar:
                path = fetch_published(name, folder, on_progress=bar.update, on_note=call.screen.note)
        return Fetched(path, (folder / "NOTICE.txt").read_text(encoding="utf-8"))


def _synthetic(options: dict[str, Any]) -> SyntheticConfig:
    try:
        return SyntheticConfig(**options)
    except ValueError as error:
        name, _, fault = str(error).partition(" ")
        raise UserError(f"--{name.replace('_', '-')} {fault}") from None
    except TypeError:
        raise UserError(f"a synthetic log is shaped by users, items, seed and events_per_user; got {', '.join(options)}") from None
