"""Tables as a safetensors file, a format that is simple enough to write without a library: a JSON header, then the bytes of every
tensor.

8 bytes: length of the header, little-endian        {"name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, ...}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

_TYPES = {torch.float32: "F32", torch.float64: "F64", torch.int32: "I32", torch.int64: "I64", torch.bool: "BOOL"}
_TYPES |= {torch.float16: "F16", torch.int8: "I8"}
_ALIGNED = 8


def write_tables(path: Path, tables: Mapping[str, Tensor]) -> None:
    """Write tensors in the order of their names."""
    header, place = {}, 0
    for name in sorted(tables):
        tensor = tables[name]
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": [*tensor.shape], "data_offsets": [place, place + tensor.nbytes]}
        place += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tables):
            file.write(tables[name].cpu().contiguous().numpy().data)
