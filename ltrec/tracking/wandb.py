"""Weights & Biases: the only file that knows it. Tracking is a guest of training: it may fail, and training goes on.

`online` without an API key, or without a way to the server, becomes `offline` with one line that says so; offline files lie in the
run folder and `wandb sync` sends them later. A resumed run goes on under its id: offline W&B keeps a folder for each start, and
`wandb sync` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import Logger

from ltrec.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from wandb import Run

STEP = "trainer/global_step"
"""The x-axis of every chart: our optimiser step, which goes back on resume; W&B's own counter may not."""


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
