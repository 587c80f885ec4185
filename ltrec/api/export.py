"""`ltrec.export`: a run as one folder that runs without ltrec."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltrec.api.inputs.stores import folder_for, shown_place
from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.artefact.folder import ARTEFACT, export_run
from ltrec.artefact.formats import FORMATS
from ltrec.artefact.items.loss import TableLoss
from ltrec.artefact.parity import Parity
from ltrec.artefact.request import ExportRequest
from ltrec.core.errors import UserError, nearest
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.build.components import open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.detect import detect
from ltrec.terminal.progress_row import PhaseBar


@dataclass(frozen=True, slots=True)
class Exported(os.PathLike[str]):
    """An exported model. It is accepted wherever its folder is.

    Attributes:
        path: the folder; text, if it is an address.
        format: of the program.
        parity: how near the program is to the run, on real histories.
        checkpoint: whose it is.
        loss: what a smaller item table costs, by group of users; None in 32 bits, or if the data have no held-out users.
        appended: number of items that the data set does not know.
    """

    path: Path | str
    format: str
    parity: Parity
    checkpoint: Path
    loss: TableLoss | None = None
    appended: int = 0

    def __fspath__(self) -> str:
        """The folder."""
        return str(self.path)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        return {
            "artefact": str(self.path),
            "format": self.format,
            "checkpoint": str(self.checkpoint),
            "parity": self.parity.to_dict(),
            "loss": self.loss and self.loss.to_dict(),
            "appended": self.appended,
        }


def export(
    run: str | os.PathLike[str],
    *settings: str,
    format: str = "torch",
    out: str | os.PathLike[str] | None = None,
    k: int = 100,
    table: str = "fp32",
    max_loss: float | None = None,
    items: str | os.PathLike[str] | None = None,
    hub: bool = False,
    license: str | None = None,
    checkpoint: str = "best",
    data: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    **evaluation: Any,
) -> Exported:
    """Write a run as a folder with encoder, plugins, memory, routing, item vectors, vocabularies and a model card.

        ltrec.export("runs/mine", out="model")

    Args:
        run: the run folder.
        settings: `evaluation.key=value` overrides.
        format: of the program: `torch`, as torch.export saves it, or `onnx`, for onnxruntime.
        out: the folder, or an address such as s3://bucket/model; None = RUN/export/FORMAT.
        k: items of a list, at most.
        table: precision of the stored item vectors: `fp32`, `fp16`, or `int8`; what a smaller one costs is measured.
        max_loss: write nothing if a group of users loses more than this share of its NDCG@10 by it; None = any loss is only told.
        items: Parquet with items that the data set does not know, and their columns; the model must use item columns.
        hub: write the layout of Hugging Face's hub; nothing is uploaded.
        license: of the model, for its card: an identifier of the hub such as `apache-2.0`; None with `hub` = `unknown`.
        checkpoint: `best`, `last`, `previous`, or `stage1`: the best before plugins woke.
        data: where the data set lies now; None = where the run says.
        weights: `average` (with trainer.ema, the default) or `raw`.
        overwrite: replace an exported model in the folder.
        progress: show how far it is.
        evaluation: settings of evaluation in place of the run's own: filter_seen=False is then built in.

    Raises:
        UserError: the run, its checkpoint or its data are missing or damaged, or the model cannot be exported.
    """
    if format not in FORMATS:
        raise UserError(f"--format {format} is unknown{nearest(format, FORMATS)}; choose from {', '.join(FORMATS)}")
    folder, overrides = RunFolder(Path(run)), [*settings, *overrides_of(evaluation, "evaluation")]
    with session(progress=progress) as call, traceback_in(folder.path), PhaseBar(call.screen) as bar:
        processes = detect()
        if processes.world.size > 1:
            raise UserError("ltrec export runs in one process; start it without torchrun")
        config = reopen(folder, overrides, data)
        opened, chosen = open_data(config), find_checkpoint(folder, checkpoint)
        place = folder.exported(format) if out is None else out
        with folder_for(place, ARTEFACT, overwrite=overwrite) as target:
            request = ExportRequest(target, format, k, overwrite, table, max_loss, _path(items), hub, license)
            made = export_run(folder, config, opened, chosen, request, processes, bar.update, weights=weights)
        return Exported(shown_place(place), format, made.parity, chosen, made.loss, made.appended)


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)
