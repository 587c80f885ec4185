"""Weights & Biases: the only file that knows it. Tracking is a guest of training: it may fail, and training goes on.

`online` without an API key, or without a way to the server, becomes `offline` with one line that says so; offline files lie in the
run folder and `wandb sync` sends them later. A resumed run goes on under its id: offline W&B keeps a folder for each start, and
`wandb sync` puts them together.
"""

from __future__ import annotations

import contextlib
import io
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import Logger

from ltrec.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from wandb import Run

STEP = "trainer/global_step"
"""The x-axis of every chart: our optimiser step, which goes back on resume; W&B's own counter may not."""


NO_KEY = "no API key is configured (wandb login, or WANDB_API_KEY)"


class WandbLogger(Logger):
    """Sends every line to an open W&B run and closes it when training ends, so that the next run of the process is its own."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.run.name)

    @property
    def version(self) -> str:
        """The run's id."""
        return str(self.run.id)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run was opened with the whole config."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send one line."""
        self.run.log({**metrics, STEP: step})

    def finalize(self, status: str) -> None:
        """Close the run: finished, or failed."""
        self.run.finish(exit_code=0 if status == "success" else 1)


def wandb_logger(
    tracking: TrackingConfig, folder: Path, *, name: str, run_id: str, config: dict[str, Any], on_note: Callable[[str], None]
) -> WandbLogger | None:
    """Open the run; None when W&B is off. Only rank 0 may call this.

    Args:
        tracking: what the user asked for.
        folder: the run folder; files go to its wandb/.
        name: of the run.
        run_id: the same whenever this run is resumed.
        config: the resolved config, shown by W&B.
        on_note: hears what a user should know.
    """
    if tracking.wandb == "off":
        return None
    import wandb  # takes a second, and most runs do without

    def start(mode: str) -> Run:
        settings = wandb.Settings(init_timeout=30, finish_timeout=60, silent=mode == "offline")
        run = wandb.init(
            mode=mode,  # type: ignore[arg-type]
            dir=folder,
            id=run_id,
            name=name,
            project=tracking.project,
            entity=tracking.entity,
            group=tracking.group,
            tags=list(tracking.tags),
            config=config,
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=settings,
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        return run

    if tracking.wandb == "online":
        try:
            if wandb.login(prompt=False, verify=False):
                return WandbLogger(start("online"))
            reason = "no API key is configured (wandb login, or WANDB_API_KEY)"
        except wandb.Error as error:
            reason = str(error).partition("\n")[0]
            wandb.teardown()  # its service still holds the run's id
        on_note(f"tracking.wandb=online: {reason}; going on offline")
    on_note(f"Weights & Biases: offline, files in {folder / 'wandb'}; 'wandb sync' sends them")
    return WandbLogger(start("offline"))


def why_no_credentials() -> str | None:
    """Why W&B could not log in; None when it finds an API key or identity token by itself, which is neither shown nor sent."""
    import wandb

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            found = wandb.login(prompt=False, verify=False)
    except wandb.Error as error:
        return str(error).partition("\n")[0]
    return None if found else NO_KEY


def server() -> str:
    """Address of the W&B server that this user is set up for."""
    import wandb

    return str(wandb.setup().settings.base_url)


def unreachable(address: str, patience_s: float = 5.0) -> str | None:
    """Why there is no way to a server, or to the proxy before it; None when one of them takes a connection.

    W&B itself would try for half a minute before training may begin.
    """
    url = urllib.parse.urlsplit(address)
    proxy = None if urllib.request.proxy_bypass(url.netloc) else urllib.request.getproxies().get(url.scheme)
    if proxy is not None:
        url = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    try:
        place = (url.hostname or "", url.port or (80 if url.scheme == "http" else 443))
        socket.create_connection(place, timeout=patience_s).close()
    except (OSError, ValueError) as error:
        return str(error)
    return None
