"""A Lightning module of one's own with no trace of ltrec's data, its rows, and the definition of its updates."""

import copy
import warnings
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from torch import nn

from ltrec.strategy import StratifiedModuleMixin

STRATA, USERS = 3, (50, 30, 20)
PRIOR = torch.tensor(USERS, dtype=torch.float64) / sum(USERS)


class Own(StratifiedModuleMixin, pl.LightningModule):
    """Regression, in float64."""

    num_strata, users_K = STRATA, USERS

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        self.reports, self.validated = [], 0

    def losses(self, batch):
        return (self.net(batch["x"])[:, 0] - batch["y"]) ** 2, batch.stratum_B

    def on_train_batch_end(self, *_):
        self.reports.append(self.trainer.strategy.report)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Validating(Own):
    """The same with a validation loop."""

    def validation_step(self, batch, batch_idx):
        self.validated += len(batch["y"])


def rows(count, *, strata=(0, 0, 0, 1, 1, 2)):
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return [{"x": row[:3], "y": row[3], "z": torch.tensor(strata[n % len(strata)])} for n, row in enumerate(drawn)]


def quiet(strategy, **options):
    options = {"accelerator": "cpu", "devices": 1, "max_epochs": 1} | options
    return pl.Trainer(
        strategy=strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@contextmanager
def bearing_lightning():
    """What Lightning itself does that warns: its tree specs, loaders without workers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        yield


def naive(steps):
    """Weights after steps whose global rows are given: w_z = P(z) over the strata that are there, means over all rows of each."""
    model = copy.deepcopy(Own())
    for step in steps:
        present = [z for z in range(STRATA) if any(int(row["z"]) == z for row in step)]
        total = 0
        for z in present:
            own = [row for row in step if int(row["z"]) == z]
            x, y = (torch.stack([row[key] for row in own]) for key in "xy")
            total = total + PRIOR[z] / PRIOR[present].sum() * ((model.net(x)[:, 0] - y) ** 2).mean()
        found = torch.autograd.grad(total, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), found, strict=True):
                parameter -= 0.1 * gradient
    return {name: parameter.detach() for name, parameter in model.named_parameters()}
