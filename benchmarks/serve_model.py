"""An exported SASRec with plugins and random weights: as fast as a trained one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ltrec.artefact.dense.program import ALLOWED, FALLBACK, FALLBACK_SCORE, RecommenderProgram
from ltrec.artefact.dense.scorers import ITEM_VECTORS, scores_of
from ltrec.artefact.formats import FORMATS
from ltrec.artefact.tables import write_tables
from ltrec.core.storage.atomic import sha256_file
from ltrec.models.backbones.sasrec import SASRec
from ltrec.models.plugins.bottleneck import plug
from ltrec.models.top_items import pays_by_blocks

BOUNDS = (1, 5, 9, 15, 30)


def make_artefact(folder: Path, *, items: int, width: int, max_len: int, k: int, form: str = "torch") -> None:
    """Write the folder."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    trunk = SASRec(items, max_len, width=width)
    model = plug(trunk, num_strata=len(BOUNDS), form="released")
    model.wake(1)
    network = scores_of(model.eval(), len(BOUNDS))
    assert network is not None
    heirs = tuple(range(len(BOUNDS)))
    rules: dict[str, Any] = {"k": k, "filter_seen": True, "by_blocks": pays_by_blocks(items, k)}
    program = RecommenderProgram(network, None, max_len=max_len, bounds=BOUNDS, heirs=heirs, **rules)
    program = program.eval().requires_grad_(False)
    order = torch.randperm(items + 1).float()
    tables = {
        ITEM_VECTORS: torch.randn(items + 1, width),
        ALLOWED: torch.arange(items + 1) > 0,
        FALLBACK: order,
        FALLBACK_SCORE: order.clone(),
    }
    program_format = FORMATS[form]
    program_format.save(program, (torch.randint(1, items + 1, (8, 12)), {}, {}, tables), folder / program_format.file)
    write_tables(folder / "tables.safetensors", tables)
    names = pa.table({"value": pa.array(["", *(f"item-{n}" for n in range(1, items + 1))], pa.string())})
    with pa.OSFile(str(folder / "items.arrow"), "wb") as sink, pa.ipc.new_file(sink, names.schema) as writer:
        writer.write_table(names)
    about = {**_about(folder, items, max_len, k), "format": form, "program": program_format.file}
    (folder / "artefact.json").write_text(json.dumps(about))


def histories(count: int, items: int, seed: int = 0) -> list[dict[str, Any]]:
    """Most are short: a median of 8 items, a mean of 13, at most 200."""
    draw = np.random.default_rng(seed)
    lengths = np.minimum(200, np.maximum(1, draw.lognormal(np.log(8), 1.0, count))).astype(int)
    return [{"items": [f"item-{n}" for n in draw.integers(1, items + 1, length)]} for length in lengths]


def _about(folder: Path, items: int, max_len: int, k: int) -> dict[str, Any]:
    served = [*range(len(BOUNDS))]
    return {
        "artefact": 1,
        "run": "random",
        "model": "sasrec",
        "plugin": "bottleneck",
        "data": {"name": "random", "digest": "", "items": items},
        "strata": {"lower_bounds": [*BOUNDS], "head_from": BOUNDS[-1], "of_the_run": [*BOUNDS], "served_by": served},
        "inputs": {"events": {}, "users": {}},
        "k": k,
        "max_len": max_len,
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in folder.iterdir()},
    }
