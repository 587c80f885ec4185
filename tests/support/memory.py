"""A small memory and a network beside it, for the tests of scoring with a memory."""

from __future__ import annotations

import numpy as np
import torch

from ltrec.data.neighbours.table import Neighbours
from ltrec.evaluation.memory.scores import Memory

V, N = 30, 4
FORMS = ("mix", "log")


def neighbours(seed: int = 0) -> Neighbours:
    draw = np.random.default_rng(seed)
    item_VN = np.stack([np.zeros(N, int), *(draw.permutation(np.arange(1, V + 1))[:N] for _ in range(V))])
    item_VN[draw.random(item_VN.shape) < 0.3] = 0
    weight_VN = np.where(item_VN > 0, draw.random(item_VN.shape), 0)
    return Neighbours(torch.from_numpy(item_VN.astype(np.int32)), torch.from_numpy(weight_VN.astype(np.float32)), {})


def memory(form: str = "mix", *, filter_seen: bool = True, last: int = 50) -> Memory:
    return Memory(neighbours(), form, 0.85, last, filter_seen)


TABLE = torch.randn(V + 1, V + 1, generator=torch.Generator().manual_seed(2))


def network(chunk):
    return TABLE[chunk.batch.items_T[chunk.batch.offsets[1:] - 1]].clone()


def permuted(known: Neighbours, seed: int) -> Neighbours:
    """The same table of other items: the neighbours of i are what the neighbours of another item are renamed to."""
    draw = np.random.default_rng(seed)
    name_V = torch.from_numpy(np.concatenate([[0], 1 + draw.permutation(known.num_items)]).astype(np.int32))
    item_VN, weight_VN = torch.zeros_like(known.item_VN), torch.zeros_like(known.weight_VN)
    item_VN[name_V.long()], weight_VN[name_V.long()] = name_V[known.item_VN.long()], known.weight_VN
    return Neighbours(item_VN, weight_VN, known.made_of)
