"""AdamW with decay on weight matrices only, over named groups of parameters."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.optim import AdamW

from ltrec.optim.groups import GROUPS, TRUNK


def adamw(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    group_of: Callable[[str], str] = lambda name: TRUNK,  # noqa: ARG005
) -> AdamW:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101) over the trainable parameters of `model`.

    Each group has two entries: matrices of linear layers are decayed; embedding tables, biases and norms are not (an item that no
    batch touches must not shrink).

    Args:
        model: what is trained.
        lr, weight_decay, betas, eps: of AdamW.
        group_of: parameter name -> its group, one of `ltrec.optim.groups.GROUPS`.
    """
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    trainable = [(group_of(name), p) for name, p in model.named_parameters() if p.requires_grad]
    entries = []
    for group in GROUPS:
        mine = [p for its, p in trainable if its == group]
        decayed = [p for p in mine if p.ndim >= 2 and id(p) not in tables]
        kept = [p for p in mine if p.ndim < 2 or id(p) in tables]
        entries += [{"params": p, "weight_decay": w, "name": group} for p, w in ((decayed, weight_decay), (kept, 0.0)) if p]
    optimizer = AdamW(entries, lr=lr, betas=betas, eps=eps, fused=True)
    # Fused AdamW offers to divide by the loss scale itself; then nobody could clip or measure the true gradient before. Leave it
    # to the scaler, as for any other optimiser.
    optimizer._step_supports_amp_scaling = False
    return optimizer
