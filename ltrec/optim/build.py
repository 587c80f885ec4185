"""AdamW with decay on weight matrices only."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW


def adamw(model: nn.Module, *, lr: float, weight_decay: float, betas: tuple[float, float], eps: float) -> AdamW:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101) over the trainable parameters of `model`.

    Two groups: matrices of linear layers are decayed; embedding tables, biases and norms are not (an item that no batch touches
    must not shrink).
    """
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    trainable = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trainable if p.ndim >= 2 and id(p) not in tables]
    kept = [p for p in trainable if p.ndim < 2 or id(p) in tables]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    optimizer = AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, eps=eps, fused=True)
    # Fused AdamW offers to divide by the loss scale itself; then nobody could clip or measure the true gradient before. Leave it
    # to the scaler, as for any other optimiser.
    optimizer._step_supports_amp_scaling = False
    return optimizer
