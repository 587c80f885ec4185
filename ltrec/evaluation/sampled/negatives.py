"""Sampled candidates, for the one reason to have them: to stand beside papers that rank the target among a few random items.

Such numbers say little (the same model scores several times higher, and models may swap places: Krichene & Rendle, KDD 2020), so
this is never the default and the protocol names it. Every (user, item) pair has a hash; a user's negatives are the items with the
smallest ones. That draws without replacement, and every scorer, chunking and world size meets the same negatives.
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
        count: wanted negatives per user.
        seed: root of the draw.
        excluded: (row, item) pairs that may not be drawn; double pairs are fine.

    Returns:
        Item ids [B, n] and a mask [B, n] of those that are real: a user with fewer items left has fewer negatives.
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
