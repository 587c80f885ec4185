"""What a user may say about the optimiser."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW and its learning-rate schedule."""

    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.0
    """Decoupled decay of weight matrices; biases, norms and embedding tables are never decayed."""
    beta1: float = 0.9
    """Decay of the first moment."""
    beta2: float = 0.98
    """Decay of the second moment."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    schedule: str = "constant"
    """constant, linear or cosine: how the rate falls after the warm-up."""
    warmup_steps: int = 0
    """Optimiser steps over which the rate rises linearly from zero."""
    final_ratio: float = 0.0
    """Learning rate at the last step, as a share of the peak (linear and cosine)."""
    clip_norm: float = 0.0
    """Clip the norm of the whole gradient to this; 0 = never."""

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.weight_decay < 0 or self.clip_norm < 0 or self.warmup_steps < 0:
            raise ValueError("lr must be positive; weight_decay, clip_norm and warmup_steps must not be negative")
        if not 0 <= self.final_ratio <= 1:
            raise ValueError(f"final_ratio must lie between 0 and 1; got {self.final_ratio}")
