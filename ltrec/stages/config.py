"""What a user may say about the training loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """The loop: how long, in what precision, how often to look."""

    max_epochs: int = 100
    """Stop after this many epochs (one epoch = every trainable user once)."""
    max_steps: int = -1
    """Stop after this many optimiser steps; -1 = no such limit."""
    patience: int = 10
    """Stop when validation NDCG@10 has not risen for this many validations; 0 = never."""
    monitor: str = "val/ndcg@10"
    """The metric (higher is better) that early stopping and the best checkpoint watch: val/ndcg@10 or val/hr@10, of all users or of
    a group (.../head, .../tail, .../stratum=0). One that validation will not give is refused."""
    validate_every_epochs: int = 1
    """Validate after every n-th epoch."""
    accumulate: int = 1
    """Micro-batches per optimiser step. The step's gradient does not depend on it, unless examples are weighed against the others
    of their micro-batch (objective.name=in_batch, emphasis.name=cvar)."""
    precision: str = "32-true"
    """32-true, bf16-mixed or 16-mixed (GPU only)."""
    accelerator: str = "auto"
    """auto, cpu or gpu."""
    checkpoint_every_steps: int = 500
    """Write checkpoints/last.ckpt every n optimiser steps, besides every epoch; 0 = every epoch only."""
    listen_every_steps: int = 10
    """Optimiser steps between looks at whether training should stop: a file STOP in the run folder, SIGUSR1, SIGTERM."""
    log_every_steps: int = 50
    """Optimiser steps between lines of metrics.jsonl."""
    stall_seconds: int = 300
    """Without a step, a validation batch or a checkpoint for so long, each process writes the stacks of its threads to stalls/ in
    the run folder, and goes on; 0 = never."""
    timeout_seconds: int = 1800
    """A process that has waited for another for so long gives up, and the whole job ends."""
    threads: int = 0
    """torch threads per process; 0 = what torch finds."""
    progress: bool = True
    """Show a progress bar when the output is a terminal."""

    def __post_init__(self) -> None:
        if self.precision not in ("32-true", "bf16-mixed", "16-mixed"):
            raise ValueError(f"precision must be 32-true, bf16-mixed or 16-mixed; got {self.precision!r}")
        if self.accelerator not in ("auto", "cpu", "gpu"):
            raise ValueError(f"accelerator must be auto, cpu or gpu; got {self.accelerator!r}")
        for name in (
            "max_epochs",
            "validate_every_epochs",
            "accumulate",
            "listen_every_steps",
            "log_every_steps",
            "timeout_seconds",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("patience", "checkpoint_every_steps", "stall_seconds", "threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; got {getattr(self, name)}")
