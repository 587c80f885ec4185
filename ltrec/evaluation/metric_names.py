"""Metrics as people write them."""

from __future__ import annotations

from ltrec.evaluation.metrics import title_of


def metric_name(key: str) -> str:
    """``ndcg@10`` as people write it: ``NDCG@10``; what is no metric of a rank, such as ``tail_share@10``, by its words."""
    stem, at, cutoff = key.partition("@")
    return title_of(key) or stem.replace("_", " ").capitalize() + at + cutoff
