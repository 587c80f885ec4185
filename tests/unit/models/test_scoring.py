"""Scores of the catalogue and the filter for seen items."""

import torch

from ltrec.models.scoring import all_scores, mask_seen


def test_scores_are_inner_products_and_padding_is_out():
    states, table = torch.randn(3, 4), torch.randn(6, 4)
    scores = all_scores(states, table)
    assert torch.isneginf(scores[:, 0]).all()
    for b in range(3):
        for v in range(1, 6):
            torch.testing.assert_close(scores[b, v], sum(states[b, d] * table[v, d] for d in range(4)))


def test_scores_are_float32_under_autocast():
    states, table = torch.randn(3, 4).bfloat16(), torch.randn(6, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = all_scores(states, table)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores[:, 1:], states.float() @ table[1:].T)


def test_seen_items_fall_out_but_a_kept_target_stays():
    scores = torch.arange(12.0).view(3, 4)
    seen, offsets = torch.tensor([1, 2, 2, 3]), torch.tensor([0, 3, 3, 4])
    masked = mask_seen(scores.clone(), seen, offsets, keep_B=torch.tensor([2, 1, 0]))
    inf = -torch.inf
    assert masked.tolist() == [[0.0, inf, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, inf]]
    assert mask_seen(scores.clone(), seen, offsets)[0].tolist() == [0.0, inf, inf, 3.0]
