"""Item vectors in fewer bits, as the folder stores them and as its script reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltrec.artefact.items.precision import PRECISIONS, computed_tables, quantised, stored_tables
from ltrec.artefact.recommend import read_tables, widened
from ltrec.artefact.tables import write_tables
from ltrec.core.errors import UserError


def tables() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    vectors = torch.randn(9, 4) * torch.tensor([0, 1e-3, 1, 30, 1, 1, 1, 1, 1])[:, None]
    return {"item_vectors": vectors, "item_vectors.0": vectors * 2, "allowed": torch.ones(9, dtype=torch.bool), "f.weight": vectors}


def test_eight_bits_keep_every_row_to_half_a_step():
    vectors = tables()["item_vectors"]
    q, scale = quantised(vectors)
    assert q.dtype == torch.int8 and q.abs().max() == 127 and scale[0] == 0
    assert ((q.float() * scale[:, None] - vectors).abs() <= scale[:, None] * 0.5001).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_script_computes_with_what_was_measured(tmp_path, precision):
    stored = stored_tables(tables(), precision)
    write_tables(tmp_path / "t.safetensors", stored)
    read, measured = widened(read_tables(tmp_path / "t.safetensors")), computed_tables(stored)
    assert {*read} == {*measured} == {*tables()}
    assert all(np.array_equal(read[name], measured[name].numpy()) for name in read)
    assert read["item_vectors"].dtype == np.float32 and np.array_equal(read["f.weight"], tables()["f.weight"].numpy())
    size = {"fp32": 4, "fp16": 2, "int8": 1}[precision]
    assert stored["item_vectors.0"].nbytes == 36 * size and (precision == "fp32") == torch.equal(
        measured["item_vectors.0"], tables()["item_vectors.0"]
    )


def test_the_library_reads_the_small_tables(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    stored = stored_tables(tables(), "int8") | {"half": torch.ones(2).half()}
    write_tables(tmp_path / "t.safetensors", stored)
    assert all(torch.equal(values, stored[name]) for name, values in library.load_file(tmp_path / "t.safetensors").items())


def test_numbers_too_large_for_sixteen_bits_are_refused():
    with pytest.raises(UserError, match=r"--table fp16: an item vector holds 1e\+05, too large for 16 bits; use fp32 or int8"):
        stored_tables({"item_vectors": torch.tensor([[1e5]])}, "fp16")
