"""Your own Lightning module and DataLoader, trained on per-stratum gradients in two processes: one step equals the closed form.

python examples/own_lightning.py
"""

import copy

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ltrec.strategy import StratifiedBatch, StratifiedLoader, StratifiedModuleMixin


class Ratings(StratifiedModuleMixin, pl.LightningModule):
    """Any model. Two strata, tail and head; their shares of the users are the prior P(z)."""

    num_strata, users_K = 2, (3000, 1000)

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def losses(self, batch: StratifiedBatch) -> tuple[Tensor, Tensor]:
        """One loss and one stratum per row. The strategy reduces them: over strata, micro-batches and processes."""
        return (self.net(batch["x"])[:, 0] - batch["rating"]) ** 2, batch.stratum_B

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain descent at rate 1, so that the step is the gradient."""
        return torch.optim.SGD(self.parameters(), lr=1.0)


def closed_form(model: Ratings, rows: list[dict[str, Tensor]]) -> tuple[Tensor, ...]:
    """sum_z P(z) (1/N_z) grad S_z over the global batch, by autograd in one process."""
    x, rating, stratum = (torch.stack([row[key] for row in rows]) for key in ("x", "rating", "stratum"))
    loss = (model.net(x)[:, 0] - rating) ** 2
    return torch.autograd.grad(0.75 * loss[stratum == 0].mean() + 0.25 * loss[stratum == 1].mean(), list(model.parameters()))


if __name__ == "__main__":
    torch.manual_seed(0)
    rows = [{"x": torch.randn(4), "rating": torch.randn(()), "stratum": torch.tensor(int(n % 5 < 3))} for n in range(32)]
    model = Ratings()
    start = copy.deepcopy(model)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="stratified_ddp", accumulate_grad_batches=2, max_epochs=1, **quiet)
    trainer.fit(model, StratifiedLoader(DataLoader(rows, batch_size=8), lambda batch: batch["stratum"], num_strata=2))
    steps = zip(start.parameters(), model.parameters(), closed_form(start, rows), strict=True)
    error = max(float((before - after - gradient).detach().abs().max()) for before, after, gradient in steps)
    if trainer.is_global_zero:
        print(f"{trainer.global_step} step in {trainer.world_size} processes; largest difference from the closed form: {error:.1e}")
    assert trainer.global_step == 1 and error < 1e-6
