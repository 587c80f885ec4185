"""An index on disk.

DIR/items.usearch    the graph
DIR/index.json       whose vectors it holds, how it was built, what was measured, and the file's digest; written last
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text, sha256_file
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.whole_folder import FolderKind
from ltrec.data.remote.held_folder import held_folder
from ltrec.inference.nearest.graph import ItemGraph

MANIFEST, GRAPH = "index.json", "items.usearch"
INDEX = FolderKind(MANIFEST, "an index", "not an index")
VERSION = 1


@dataclass(frozen=True, slots=True)
class Belongs:
    """What an index must be of.

    Attributes:
        data: digest of the data set.
        checkpoint: sha256 of the checkpoint's file.
        item_table: digest of the item vectors.
    """

    data: str
    checkpoint: str
    item_table: str


def digest_of_table(table_VD: Tensor) -> str:
    """Hex sha256 of item vectors in float32."""
    return hashlib.sha256(table_VD.detach().float().cpu().contiguous().numpy().data).hexdigest()


def write_index(folder: Path, graph: ItemGraph, facts: dict[str, Any]) -> int:
    """Write graph and manifest to an empty folder; returns bytes of the graph."""
    file = folder / GRAPH
    graph.save(file)
    size = file.stat().st_size
    body = {**facts, "index": VERSION, "file": {"name": GRAPH, "bytes": size, "sha256": sha256_file(file)}}
    atomic_write_text(folder / MANIFEST, canonical_json(body))
    return size


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest.

    Raises:
        UserError: the folder holds no index, or one of another version of ltrec.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} holds no index ({MANIFEST} is missing): make one with ltrec index RUN") from None
    except ValueError as error:
        raise UserError(f"{folder / MANIFEST} is damaged: {error}; make it again with ltrec index") from None
    if not isinstance(found, dict) or found.get("index") != VERSION:
        raise UserError(f"{folder} holds no index that this version of ltrec reads; make it again with ltrec index")
    return found


def held_index(place: str | os.PathLike[str]) -> AbstractContextManager[Path]:
    """Its folder; of an address, one in the node's cache, for as long as the context is open.

    Raises:
        UserError: nothing, or a damaged one, is at the address.
    """
    return held_folder(place, MANIFEST, _files_of, f"holds no index ({MANIFEST} is missing): make one with ltrec index RUN")


def _files_of(text: bytes, address: str) -> Mapping[str, tuple[int, str]]:
    try:
        file = json.loads(text)["file"]
        return {str(file["name"]): (int(file["bytes"]), str(file["sha256"]))}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{address} is damaged; make it again with ltrec index") from None


def open_index(folder: Path, belongs: Belongs, threads: int) -> tuple[ItemGraph, dict[str, Any]]:
    """The graph and its manifest.

    Raises:
        UserError: damaged, or of other data or other weights.
    """
    found = read_manifest(folder)
    try:
        wrong = _other(found["run"], found["data"]["digest"], found["checkpoint"], found["item_table"], belongs)
        wanted, _ = str(found["file"]["sha256"]), int(found["options"]["expansion_search"])
        digest = sha256_file(folder / GRAPH)
    except FileNotFoundError:
        raise UserError(f"{folder / GRAPH} is missing; make it again with ltrec index") from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder / MANIFEST} is damaged; make it again with ltrec index") from None
    if wrong:
        raise UserError(f"{folder} is an index of {wrong}; make one of these with ltrec index")
    if digest != wanted:
        raise UserError(f"{folder / GRAPH} is damaged: its digest is not that of {MANIFEST}; make it again with ltrec index")
    return ItemGraph.open(folder / GRAPH, threads), found


def _other(run: str, data: str, checkpoint: dict[str, str], item_table: str, belongs: Belongs) -> str:
    """What else the index is of; empty if nothing else."""
    if data != belongs.data:
        return "another data set"
    if checkpoint["sha256"] != belongs.checkpoint or item_table != belongs.item_table:
        return f"other weights (checkpoint {checkpoint['name']} of run {run}, {checkpoint['weights'] or 'as trained'})"
    return ""
