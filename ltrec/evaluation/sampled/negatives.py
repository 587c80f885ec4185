"""Sampled candidates, only for comparison with papers that rank the target among a few random items.

Such results say little (the same model scores several times higher, and the order of models may change: Krichene & Rendle, KDD
2020), so this is not the default, and the protocol records it. Every (user, item) pair has a hash, and a user's negatives are the
items with the smallest hashes. That samples without replacement, and the negatives are the same for every scorer, chunking and
world size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.core.hashing import mix, mix_tensor

BLOCK_ROWS = 64
_EXCLUDED = torch.iinfo(torch.int64).max


def draw_negatives(
    user_key_B: Tensor, num_items: int, count: int, seed: int, excluded: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Uniform negatives without replacement.

    Args:
        user_key_B: int64 keys of the users.
        num_items: V; draws are from 1..V.
        count: negatives per user.
        seed: of the sampling.
        excluded: (row, item) pairs that must not be sampled; may contain duplicates.

    Returns:
        Item ids [B, n] and a mask [B, n] of valid ones: a user with fewer items left has fewer negatives.
    """
    item_hash_V = mix_tensor(mix(seed, 1), torch.arange(num_items + 1, device=user_key_B.device))
    user_hash_B = mix_tensor(mix(seed, 2), user_key_B)
    row_P, item_P = excluded
    parts = []
    for start in range(0, len(user_key_B), BLOCK_ROWS):
        hash_bV = mix_tensor(seed, user_hash_B[start : start + BLOCK_ROWS, None] ^ item_hash_V)
        here = (row_P >= start) & (row_P < start + BLOCK_ROWS)
        hash_bV[row_P[here] - start, item_P[here]] = _EXCLUDED
        hash_bV[:, 0] = _EXCLUDED
        parts.append(hash_bV.topk(min(count, num_items), dim=1, largest=False))
    return torch.cat([p.indices for p in parts]), torch.cat([p.values for p in parts]) < _EXCLUDED
