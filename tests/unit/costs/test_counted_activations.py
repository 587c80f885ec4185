"""Activations on paper against the tensors that autograd keeps."""

from dataclasses import replace

import pytest
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.costs.memory import activations
from ltrec.costs.workload import Workload
from ltrec.models.backbones import DIN, SASRec
from ltrec.models.backbones.gru4rec import GRU4Rec

ROWS, LENGTH, CANDIDATES = 16, 20, 3
PLAN = Workload(
    items=50,
    width=64,
    table=1,
    dense=1,
    matrices=1,
    tensors=1,
    rows=ROWS,
    positions=ROWS * LENGTH,
    longest=64,
    candidates=CANDIDATES - 1,
)


def batch():
    total = ROWS * LENGTH
    items = torch.arange(total) % 50 + 1
    offsets = torch.arange(0, total + 1, LENGTH)
    return SequenceBatch(items, items, offsets, *(torch.zeros(ROWS, dtype=torch.int64) for _ in range(2)), torch.zeros(1))


def kept(model, run):
    """Bytes that wait for the backward pass, without parameters and buffers."""
    own = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    found = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = (storage.nbytes(), tensor)  # the tensor, so that its place is not given to another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run(model.train())
    assert result.requires_grad
    return sum(size for size, _ in found.values())


@pytest.mark.parametrize(("width", "layers"), [(32, 1), (64, 1), (64, 3)])
def test_of_sasrec(width, layers):
    counted = kept(SASRec(50, 64, width=width, blocks=layers, dropout=0.2), lambda model: model.encode(batch()))
    assert activations(replace(PLAN, width=width, layers=layers), 1) == pytest.approx(counted, rel=0.15)


def test_of_gru4rec():
    counted = kept(GRU4Rec(50, 64, width=64, hidden=128, layers=2, dropout=0.2), lambda model: model.encode(batch()))
    assert activations(replace(PLAN, backbone="gru4rec"), 1) == pytest.approx(counted, rel=0.15)


def test_of_din():
    items = (torch.arange(ROWS * LENGTH * CANDIDATES) % 50 + 1).view(-1, CANDIDATES)
    counted = kept(DIN(50, 64, width=64, layers=(64, 64), dropout=0.2), lambda model: model.candidate_logits(batch(), items))
    assert activations(replace(PLAN, backbone="din", candidate_passes=True), 1) == pytest.approx(counted, rel=0.25)
