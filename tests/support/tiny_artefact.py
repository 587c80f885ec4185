"""An exported model made by hand in seconds: random weights, no training. Its answers mean nothing, but they are answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from ltrec.artefact.dense.program import ALLOWED, FALLBACK, FALLBACK_SCORE, RecommenderProgram
from ltrec.artefact.dense.scorers import ITEM_VECTORS, scores_of
from ltrec.artefact.recommend import TorchProgram, read_tables
from ltrec.artefact.recommender import order_of
from ltrec.artefact.tables import write_tables
from ltrec.artefact.torch_format import save_program
from ltrec.core.storage.atomic import sha256_file
from ltrec.models.backbones.sasrec import SASRec
from ltrec.models.inputs import ColumnInput, Inputs
from ltrec.models.plugins.bottleneck import plug
from tests.support.inputs import embed

MAX_LEN, BOUNDS = 7, (1, 4, 9)
COLUMNS = {
    "events": {
        "time": {"kind": "seconds", "dtype": "int64", "missing": 0, "file": None},
        "kind": {"kind": "category", "dtype": "int32", "missing": 0, "file": "event-kind.arrow"},
    },
    "users": {"age": {"kind": "number", "dtype": "float32", "missing": None, "file": None}},
}
NO_COLUMNS: dict[str, Any] = {"events": {}, "users": {}}


class EagerProgram(TorchProgram):
    """The program as it was before torch.export, which takes seconds to save and load."""

    def __init__(self, path: Path) -> None:
        self.torch = torch
        self.module = torch.load(path, weights_only=False)


def tiny_artefact(
    folder: Path, *, seed: int = 0, items: int = 40, k: int = 20, columns: bool = True, exported: bool = False
) -> Path:
    """Write the folder, of a SASRec with plugins; unless `exported`, for `EagerProgram`."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    inputs = {"inputs": _inputs(items)} if columns else {}
    trunk = SASRec(items, MAX_LEN, width=16, **inputs)
    model = plug(trunk, num_strata=3, form="released")
    model.wake(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network = scores_of(model.eval(), 3)
    program = RecommenderProgram(network, None, max_len=MAX_LEN, bounds=BOUNDS, heirs=(0, 1, 2), k=k, filter_seen=True)
    counts = torch.randint(0, 90, (items + 1,)).float()
    with torch.no_grad():
        tables = {ITEM_VECTORS: trunk.item_table.clone(), ALLOWED: torch.arange(items + 1) > 0}
    tables |= {FALLBACK: order_of(counts), FALLBACK_SCORE: counts}
    program = program.eval().requires_grad_(False)
    if exported:
        save_program(program, (*_arguments(items, columns), tables), folder / "program.pt2")
    else:
        torch.save(program, folder / "program.pt2")
    write_tables(folder / "tables.safetensors", tables)
    _vocabulary(folder / "items.arrow", ["", *(f"i{n}" for n in range(1, items + 1))])
    if columns:
        _vocabulary(folder / "event-kind.arrow", ["", "", "view", "buy", "größe"])
    write_manifest(folder, k=k, inputs=COLUMNS if columns else NO_COLUMNS, items=items, run=f"tiny-{seed}")
    return folder


def with_other_items(folder: Path, copy: Path, *, seed: int = 1) -> Path:
    """The same program with other item vectors: another model, without another export."""
    shutil.copytree(folder, copy)
    tables = {name: torch.from_numpy(values) for name, values in read_tables(folder / "tables.safetensors").items()}
    generator = torch.Generator().manual_seed(seed)
    write_tables(copy / "tables.safetensors", tables | {ITEM_VECTORS: torch.randn(tables[ITEM_VECTORS].shape, generator=generator)})
    about = json.loads((copy / "artefact.json").read_text())
    del about["files"]
    write_manifest(copy, items=about.pop("data")["items"], **{**about, "run": f"{about['run']}-{seed}"})
    return copy


def write_manifest(folder: Path, **facts: Any) -> None:
    """`artefact.json` with the digests of what is there."""
    files = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_file(p)} for p in folder.iterdir() if p.name != "artefact.json"}
    strata = {"lower_bounds": [*BOUNDS], "head_from": 9, "of_the_run": [*BOUNDS], "served_by": [0, 1, 2]}
    about = {
        "artefact": 1,
        "created_by": {"ltrec": "0"},
        "model": "sasrec",
        "plugin": "bottleneck",
        "data": {"name": "tiny", "digest": "ab" * 32, "items": facts.pop("items")},
        "strata": strata,
        "max_len": MAX_LEN,
        "format": "torch",
        "program": "program.pt2",
        "files": files,
        **facts,
    }
    (folder / "artefact.json").write_text(json.dumps(about))


def _inputs(items: int) -> Inputs:
    trained = torch.arange(items + 1) > 0
    return Inputs((), (ColumnInput("kind", embed("category", 5)),), (ColumnInput("age", embed("number", 1)),), True, trained)


def _arguments(items: int, columns: bool) -> tuple[Any, ...]:
    histories = torch.randint(1, items + 1, (8, 10))
    if not columns:
        return histories, {}, {}
    events = {"time": torch.arange(80).view(8, 10), "kind": torch.randint(0, 5, (8, 10), dtype=torch.int32)}
    return histories, events, {"age": torch.rand(8) * 50}


def _vocabulary(path: Path, values: list[str]) -> None:
    table = pa.table({"value": pa.array(values, pa.string())})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
