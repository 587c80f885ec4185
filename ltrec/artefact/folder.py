"""Export of a run to a folder, complete or not at all.

OUT/program.pt2 (.onnx)   histories -> the k best items: window, routing, encoder, plugins, memory, filters, fallback
OUT/tables.safetensors    (model.safetensors with --hub) item vectors and the other tables that the program is given
OUT/items.arrow           raw item ids; event-<name>.arrow, user-<name>.arrow: values of categorical columns
OUT/recommend.py          loads and uses all this, without ltrec
OUT/README.md             the model card
OUT/artefact.json         inputs, strata, protocol, parity, and the digest of every file; written last
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ltrec.artefact.bundle import SCRIPT, script_text
from ltrec.artefact.card import card
from ltrec.artefact.facts import facts_of, measured
from ltrec.artefact.formats import FORMATS, ProgramFormat
from ltrec.artefact.hub import write_hub_files
from ltrec.artefact.items.appended import NewItems, extended_tables, read_new_items
from ltrec.artefact.items.loss import TableLoss, table_loss
from ltrec.artefact.items.precision import computed_tables, stored_tables
from ltrec.artefact.parity import Parity, arguments_of, compare, evenly_spread
from ltrec.artefact.recommender import RunProgram, program_of
from ltrec.artefact.request import ExportRequest
from ltrec.artefact.script.stored import MANIFEST, digest_of
from ltrec.artefact.tables import write_tables
from ltrec.artefact.vocabularies import write_vocabularies
from ltrec.config.tree import RunConfig
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.atomic import atomic_write_text, sha256_file
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.whole_folder import FolderKind, whole_folder
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.evaluation.table import SEEN
from ltrec.run.build.components import Data, build_histories, projected
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.memory import memory_of

CARD = "README.md"
ARTEFACT = FolderKind(
    MANIFEST, "an exported model", "no exported model", ("program.*", "*.safetensors", "event-*.arrow", "user-*.arrow")
)
_CHUNKS, _TRACED, _PAIRED = 4, 8, 64


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """What was measured.

    Attributes:
        parity: the difference between program and run.
        loss: by the smaller item table; None in 32 bits, or without held-out users.
        appended: number of items that the data set does not know.
    """

    parity: Parity
    loss: TableLoss | None
    appended: int


def export_run(
    run: RunFolder,
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    request: ExportRequest,
    processes: Processes,
    on_progress: Progress = silent,
    *,
    weights: str | None = None,
) -> ExportOutcome:
    """Write the folder, and return what was measured.

    Args:
        run: the run folder.
        config: of the run, with evaluation settings as overridden.
        data: its data set.
        checkpoint: one of its checkpoints.
        request: what is wanted.
        processes: this process.
        on_progress: called with the phase.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: a model that no program can be made of, a program that is not the run, or another folder at that place.
    """
    request.check()
    new = None if request.items is None else read_new_items(request.items, config, data)
    new_ids = new.item_id if new else ()
    k, form = min(request.k, data.manifest.vocab.items), FORMATS[request.form]
    with whole_folder(request.out, ARTEFACT, overwrite=request.overwrite) as folder:
        memory = memory_of(run, config, data, checkpoint, processes, on_progress, weights=weights)
        made = program_of(config, data, checkpoint, processes, memory, k=k, weights=weights)
        chunks = _real_chunks(config, data, most=_PAIRED if made.pairs else config.evaluation.chunk_rows)
        on_progress("exporting", 0, 0)
        form.save(made.program, (*_few_rows(chunks[0]), made.tables), folder / form.file)
        on_progress("comparing", 0, 0)
        parity = _parity(config, made, chunks, form, folder / form.file)
        loss = _loss(config, data, made, request, on_progress)
        own = {"parity": parity.to_dict(), "format": request.form, "program": form.file, "pairs": made.pairs}
        own |= {"tensors": request.tables_file, "table": request.table, "loss": loss and loss.to_dict(), "appended": len(new_ids)}
        facts = facts_of(config, data, checkpoint, projected(config, data.manifest), k=k, weights=weights) | own
        write_tables(folder / request.tables_file, stored_tables(_with_new(config, made, new), request.table))
        write_vocabularies(folder, data, projected(config, data.manifest), new_ids)
        results = measured(run, config, facts["checkpoint"]["sha256"])
        (folder / CARD).write_text(card(facts, results, parity, loss, license=request.card_license), encoding="utf-8")
        if request.hub:
            write_hub_files(folder, config, facts)
        _finish(folder, facts)
    return ExportOutcome(parity, loss, len(new_ids))


def _finish(folder: Path, facts: dict[str, Any]) -> None:
    """Write the script, and last the manifest."""
    (folder / SCRIPT).write_text(script_text(), encoding="utf-8")
    sealed = {**facts, "files": _files(folder)}
    atomic_write_text(folder / MANIFEST, canonical_json({**sealed, "sha256": digest_of(sealed)}))


def _with_new(config: RunConfig, made: RunProgram, new: NewItems | None) -> dict[str, Tensor]:
    """The program's tables, with the new items."""
    if new is None:
        return made.tables
    return extended_tables(made.tables, made.backbone, new, allowed=config.evaluation.candidates != SEEN)


def _loss(config: RunConfig, data: Data, made: RunProgram, request: ExportRequest, on_progress: Progress) -> TableLoss | None:
    """What the item table costs.

    Raises:
        UserError: more than is allowed.
    """
    if request.table == "fp32":
        return None
    tables = computed_tables(stored_tables(made.tables, request.table))
    loss = table_loss(config, data, made, tables, request.table, on_progress)
    if loss is not None and request.max_loss is not None:
        loss.refuse_over(request.max_loss)
    return loss


def _real_chunks(config: RunConfig, data: Data, most: int) -> list[HistoryChunk]:
    """Some chunks of users with a history, at most so many in each, from all strata."""
    config = replace(config, evaluation=replace(config.evaluation, chunk_rows=min(most, config.evaluation.chunk_rows)))
    histories = build_histories(config, data, "test")
    if not len(histories):
        histories = build_histories(config, data, "all")
    return [histories.chunk(index) for index in evenly_spread(len(histories), _CHUNKS)]


def _few_rows(chunk: HistoryChunk) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Arguments to trace with: at least two rows and two positions, because sizes of one are special."""
    items, events, users = arguments_of(chunk)
    rows = (np.arange(_TRACED) % len(items)).tolist()
    of_events = {name: F.pad(values[rows], (0, 2)) for name, values in events.items()}
    return F.pad(items[rows], (0, 2)), of_events, {name: values[rows] for name, values in users.items()}


def _parity(config: RunConfig, made: RunProgram, chunks: list[HistoryChunk], form: ProgramFormat, path: Path) -> Parity:
    """Compare the saved program with the run on all chunks.

    Raises:
        UserError: it is not the run.
    """
    program, filter_seen = form.load(path), config.evaluation.filter_seen
    found = [compare(program, made.score, chunk, made.tables, filter_seen=filter_seen, rows=made.rows) for chunk in chunks]
    parity = Parity(sum(p.histories for p in found), max(p.largest for p in found), sum(p.unequal for p in found))
    parity.refuse()
    return parity


def _files(folder: Path) -> dict[str, Any]:
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in sorted(folder.iterdir())}
