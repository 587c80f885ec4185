import json

import numpy as np
import pytest
import torch

from ltrec.artefact.recommend import read_tables
from ltrec.artefact.tables import write_tables


def test_tensors_come_back(tmp_path):
    tables = {
        "vectors": torch.randn(5, 3),
        "allowed": torch.tensor([True, False, True]),
        "ids": torch.arange(6, dtype=torch.int32).view(2, 3),
        "long": torch.tensor([2**40]),
        "exact": torch.tensor([0.1], dtype=torch.float64),
    }
    write_tables(tmp_path / "t.safetensors", tables)
    found = read_tables(tmp_path / "t.safetensors")
    assert {*found} == {*tables} and all(np.array_equal(found[name], tables[name].numpy()) for name in tables)
    assert all(found[name].dtype == tables[name].numpy().dtype for name in tables)


def test_the_file_is_as_the_format_says(tmp_path):
    write_tables(tmp_path / "t.safetensors", {"b": torch.ones(2), "a": torch.zeros(1, 2)})
    data = (tmp_path / "t.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert header == {
        "a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
    }
    assert size % 8 == 0 and data[8 + size :] == bytes(8) + torch.ones(2).numpy().tobytes()


def test_the_library_reads_it(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    write_tables(tmp_path / "t.safetensors", {"a": torch.arange(3.0)})
    assert torch.equal(library.load_file(tmp_path / "t.safetensors")["a"], torch.arange(3.0))
