"""Backbones on an accelerator: other layouts and kernels (one rectangle, cuDNN's GRU), the same states, scores and gradients."""

import pytest
import torch
from torch.testing import assert_close

from ltrec.models.backbones import BACKBONES, Encoder
from tests.support.sequences import histories, stir

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

NUM_ITEMS, MAX_LEN = 50, 12


def results(name, device):
    """Scores, what a loss sees of every position, and its gradients; on the CPU again."""
    torch.manual_seed(1)
    model = stir(BACKBONES[name].make(NUM_ITEMS, MAX_LEN, width=8, dropout=0.0).double(), std=0.2).to(device)
    batch = histories([5, 0, 12, 1, 7], NUM_ITEMS).to(device)
    if isinstance(model, Encoder):
        seen = model.encode(batch)
    else:
        seen = model.candidate_logits(batch, torch.arange(1, 9, device=device).expand(batch.items_T.numel(), -1))
    gradients = torch.autograd.grad(seen.square().sum(), list(model.parameters()), materialize_grads=True)
    return [tensor.detach().cpu() for tensor in (model.scores(batch), seen, *gradients)]


@pytest.mark.parametrize("name", list(BACKBONES))
def test_the_same_numbers_as_on_the_cpu(name):
    for there, here in zip(results(name, "cuda"), results(name, "cpu"), strict=True):
        assert_close(there, here, rtol=1e-9, atol=1e-9)
