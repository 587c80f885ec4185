"""Weights & Biases: the only file that imports it. If tracking fails, training continues.

`online` without an API key, or without a way to the server, becomes `offline` with one line that says so; offline files lie in the
run folder and `wandb sync` sends them later. A resumed run keeps its id: offline W&B keeps a folder for each start, and
`wandb sync` puts them together. An error of W&B's once the run is open is printed in one line and ends tracking, not training.

Artifacts are sent from where they lie, not from copies: offline, they must still lie there when they are synced.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import Logger

from ltrec.core.errors import Stopped, UserError, first_line
from ltrec.core.secrets import masked_tree, secrets_of
from ltrec.core.storage.run_folder import ASIDE, PREVIOUS, RunFolder
from ltrec.tracking.config import TrackingConfig
from ltrec.tracking.epoch_table import epoch_table
from ltrec.tracking.keys import summary_of

if TYPE_CHECKING:
    from wandb import Run

STEP = "trainer/global_step"
"""The x-axis of every chart: our optimiser step, which goes back on resume; W&B's own counter may not."""

EPOCHS = "tables/epochs"
"""Key of the table of validations."""

NO_KEY = "no API key is configured (wandb login, or WANDB_API_KEY)"

_STAGED = "staged"  # files that W&B wants to copy lie here in the run folder, and not in the user's home
_DATA_DIR = "WANDB_DATA_DIR"


@dataclass(frozen=True, slots=True)
class Tracked:
    """The run that is tracked.

    Attributes:
        folder: the run folder; files go to its wandb/.
        name: of the run.
        run_id: the same whenever this run is resumed.
        seed: its seed.
        config: what W&B shows as config: the resolved config, provenance, the Slurm job.
        group: what the runs of one method have in common.
    """

    folder: RunFolder
    name: str
    run_id: str
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None


class WandbLogger(Logger):
    """Sends every line to an open W&B run and closes it when training ends, so that the next run of the process is its own.

    Args:
        run: the open run.
        tracked: what it is about.
        with_checkpoints: whether checkpoints are sent, too.
        on_note: called with each line that a user should read.
    """

    def __init__(self, run: Run, tracked: Tracked, *, with_checkpoints: bool, on_note: Callable[[str], None]) -> None:
        super().__init__()
        self.run = run
        self.tracked, self.with_checkpoints, self.on_note = tracked, with_checkpoints, on_note
        self._defined: set[str] = set()
        self._lost = False

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
        self._try(lambda: self._send_line(metrics, step))

    def finalize(self, status: str) -> None:
        """Send the table of validations and, if configured, checkpoints; close the run: finished, failed, or to be requeued."""
        stopped = sys.exception()
        self._try(self._send_table)
        if self.with_checkpoints:
            self._try(lambda: send_checkpoints(self.run, self.tracked))
        if isinstance(stopped, Stopped) and stopped.requeue:
            self._try(self.run.mark_preempting)
        self._try(lambda: self.run.finish(exit_code=0 if status == "success" else 1))

    def _send_line(self, metrics: Mapping[str, float], step: int | None) -> None:
        for key in sorted(metrics.keys() - self._defined):
            self.run.define_metric(key, step_metric=STEP, summary=summary_of(key))
            self._defined.add(key)
        self.run.log({**metrics, STEP: step})

    def _send_table(self) -> None:
        import wandb

        name = self.tracked.name
        metrics = self.tracked.folder.metrics
        columns, rows = epoch_table(metrics, method=self.tracked.group or name, run=name, seed=self.tracked.seed)
        if rows:
            self.run.log({EPOCHS: wandb.Table(columns=[*columns], data=[*rows])})

    def _try(self, send: Callable[[], None]) -> None:
        """The first error is printed; from then on nothing is sent."""
        import wandb

        if self._lost:
            return
        try:
            send()
        except Exception as error:  # noqa: BLE001  a dead service shows up as any of wandb's internal errors
            self._lost = True
            what = first_line(error) or type(error).__name__
            self.on_note(f"Weights & Biases is lost ({what}): going on without it; metrics.jsonl has everything")
            with contextlib.suppress(Exception):
                wandb.teardown()


def wandb_logger(tracking: TrackingConfig, tracked: Tracked, on_note: Callable[[str], None]) -> WandbLogger | None:
    """Open the run; None when W&B is off. Only rank 0 may call this.

    Args:
        tracking: the options.
        tracked: the run.
        on_note: called with each line that a user should read.
    """
    run = open_run(tracking, tracked, on_note)
    if run is None:
        return None
    return WandbLogger(run, tracked, with_checkpoints=tracking.artifacts == "all", on_note=on_note)


def open_run(tracking: TrackingConfig, tracked: Tracked, on_note: Callable[[str], None]) -> Run | None:
    """Open or resume the run: online if that is wanted and possible, else offline; None when W&B is off."""
    if tracking.wandb == "off":
        return None
    import wandb  # takes a second, and most runs do without

    if tracking.wandb == "online":
        reason = why_no_credentials() or unreachable(server())
        if reason is None:
            try:
                return _started("online", tracking, tracked)
            except wandb.Error as error:
                reason = first_line(error)
                wandb.teardown()  # its service still holds the run's id
        on_note(f"`wandb`=online: {reason}; going on offline")
    on_note(f"Weights & Biases: offline, files in {tracked.folder.wandb}; 'wandb sync' sends them")
    try:
        return _started("offline", tracking, tracked)
    except wandb.Error as error:  # a name that it refuses: not a passing failure
        way_out = "change `project`, `entity` or `tags`, or use `wandb`=off"
        raise UserError(f"Weights & Biases refuses this run: {first_line(error)}; {way_out}") from None


def _started(mode: str, tracking: TrackingConfig, tracked: Tracked) -> Run:
    import wandb

    if os.environ.get(_DATA_DIR, _STAGED).endswith(_STAGED):  # not the user's own
        os.environ[_DATA_DIR] = str(tracked.folder.wandb.absolute() / _STAGED)
    run = wandb.init(
        mode=mode,  # type: ignore[arg-type]
        dir=tracked.folder.path,
        id=tracked.run_id,
        name=tracked.name,
        **masked_tree(
            {"project": tracking.project, "entity": tracking.entity, "group": tracked.group, "tags": list(tracking.tags)},
            secrets_of(os.environ),
        ),
        config=dict(tracked.config),
        resume="allow" if mode == "online" else None,
        reinit="create_new",
        save_code=False,
        settings=wandb.Settings(
            init_timeout=20,
            finish_timeout=60,
            silent=mode == "offline",
            disable_git=True,
            x_disable_meta=True,  # it would send the command line as it was typed; ours is in the config, masked
        ),
    )
    run.define_metric(STEP)
    return run


def send_checkpoints(run: Run, tracked: Tracked) -> None:
    """Send the run's checkpoints as versions of one artifact, each with its name (best, last, ...) as an alias."""
    import wandb

    for checkpoint in (path for path in tracked.folder.existing_checkpoints() if path.name not in (PREVIOUS, ASIDE)):
        artifact = wandb.Artifact(f"model-{tracked.run_id}", type="model", metadata={"run": tracked.name})
        where = checkpoint.resolve()  # of the two files that take turns
        if where.is_dir():
            artifact.add_dir(str(where), name=checkpoint.name, skip_cache=True, policy="immutable")
        else:
            artifact.add_file(str(where), name=checkpoint.name, skip_cache=True, policy="immutable")
        run.log_artifact(artifact, aliases=[checkpoint.stem])


def send_report(
    tracking: TrackingConfig, tracked: Tracked, report: Path, summary: Mapping[str, float | str], on_note: Callable[[str], None]
) -> None:
    """Open the run again, add the report's folder as an artifact, and to its summary what is given, and close it.

    Args:
        tracking: the options.
        tracked: the run.
        report: the folder that `ltrec report` wrote.
        summary: test metrics and verdicts by key.
        on_note: called with each line that a user should read.
    """
    import wandb

    run = open_run(tracking, tracked, on_note)
    if run is None:
        return
    try:
        run.summary.update(dict(summary))
        artifact = wandb.Artifact(f"report-{tracked.run_id}", type="report", metadata={"run": tracked.name})
        artifact.add_dir(str(report), skip_cache=True, policy="immutable")
        run.log_artifact(artifact, aliases=["last"])
        run.finish(exit_code=0)
    except (wandb.Error, OSError, ValueError) as error:
        on_note(f"Weights & Biases did not take the report ({first_line(error)}); it is in {report}")


def why_no_credentials() -> str | None:
    """Why W&B could not log in; None when it finds an API key or identity token by itself, which is neither shown nor sent."""
    import wandb

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            found = wandb.login(prompt=False, verify=False)
    except wandb.Error as error:
        return first_line(error)
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
        return f"{address} is out of reach ({error})"
    return None
