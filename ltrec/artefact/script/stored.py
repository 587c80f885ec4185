"""Files of an exported folder: manifest, tables, vocabularies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from errno import ENOENT
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]
Columns = dict[str, Array]
MANIFEST, VERSION = "artefact.json", 1
"""The manifest, and the version of its form."""
_TYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "I8": "int8", "I32": "int32", "I64": "int64", "BOOL": "bool"}


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest says; a ValueError where it is missing or damaged."""
    path = folder / MANIFEST
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sealed = about.pop("sha256", None)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); name the folder that ltrec export wrote") from None
    except (ValueError, AttributeError):
        raise ValueError(f"{path} is damaged: it is not JSON; export the model again") from None
    if sealed is not None and sealed != digest_of(about):
        raise ValueError(f"{path} is damaged: it was changed after it was written; export the model again")
    return about


def digest_of(about: Mapping[str, Any]) -> str:
    """Digest of a manifest without its own."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def read_tables(path: Path) -> Columns:
    """The tensors of a safetensors file."""
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]
    found: Columns = {}
    for name, about in header.items():
        found[name] = np.frombuffer(body[slice(*about["data_offsets"])], dtype=_TYPES[about["dtype"]]).reshape(about["shape"])
    return found


def widened(tables: Mapping[str, Array]) -> Columns:
    """Tables as the program computes with them: 16 bit numbers as 32 bit ones, and 8 bit ones times the scale of their row."""
    found = dict(tables)
    for name, values in tables.items():
        if values.dtype.name in ("float16", "int8"):
            found[name] = values.astype("float32") * (found.pop(f"{name}.scale")[:, None] if values.dtype.name == "int8" else 1)
    return found


def read_vocabulary(path: Path) -> list[str]:
    """Values in the order of their ids."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        return list(file.read_all()["value"].to_pylist())


def check_file(path: Path, file: Mapping[str, Any], *, whole: bool) -> None:
    """Compare a file with the manifest's entry; `whole`: its content too. A ValueError or FileNotFoundError names the fault."""
    if not path.is_file():
        raise FileNotFoundError(ENOENT, "missing; export the model again", str(path))
    with open(path, "rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest() if whole else file["sha256"]
    if (path.stat().st_size, digest) != (file["bytes"], file["sha256"]):
        raise ValueError(f"{path} is damaged: its sha256 is not that of artefact.json; export the model again")
