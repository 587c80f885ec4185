"""A `training_step` is never called by the stratified strategies, and they say so where somebody wrote one."""

import pytest
import pytorch_lightning as pl
from torch.utils.data import DataLoader

from ltrec.strategy import StratifiedLoader
from tests.support.own_module import STRATA, Own, bearing_lightning, quiet, rows


def fit(module):
    loader = StratifiedLoader(DataLoader(rows(8), batch_size=4), lambda batch: batch["z"], num_strata=STRATA)
    with bearing_lightning():
        quiet("stratified").fit(module, loader)


class OldStep(pl.LightningModule):
    """A module as it was before somebody gave it `losses`."""

    def training_step(self, batch, batch_idx):
        raise AssertionError("never called")


class Kept(Own):
    training_step = OldStep.training_step


class Beneath(Own, OldStep):
    """The mixin's own training_step hides the old one."""


class Both(Own):
    """For ordinary strategies too."""

    joint_training_step = True
    training_step = OldStep.training_step


class Again(Both):
    training_step = OldStep.training_step


@pytest.mark.parametrize(("kind", "named"), [(Kept, "Kept"), (Beneath, "OldStep"), (Again, "Again")])
def test_a_training_step_that_is_never_called_is_warned_of(kind, named):
    message = rf"^{named}\.training_step is never called under strategy stratified, which trains on {kind.__name__}\.losses; move "
    with pytest.warns(UserWarning, match=message) as caught:
        fit(kind())
    assert len([warning for warning in caught if "training_step" in str(warning.message)]) == 1


@pytest.mark.parametrize("kind", [Own, Both])
def test_a_training_step_for_ordinary_strategies_needs_no_warning(kind):
    fit(kind())  # warnings are errors here


class Squared(pl.LightningModule):
    """A module that ordinary strategies can train."""

    joint_training_step = True

    def training_step(self, batch, batch_idx):
        return ((self.net(batch["x"])[:, 0] - batch["y"]) ** 2).mean()


class Mixed(Own, Squared):
    """The mixin passes an ordinary strategy's step on."""

    def on_train_batch_end(self, *_):
        """Only stratified strategies have reports."""


def test_one_module_for_both_kinds_of_strategy():
    module = Mixed()
    before = [parameter.detach().clone() for parameter in module.parameters()]
    with bearing_lightning():
        quiet("auto").fit(module, DataLoader(rows(8), batch_size=8))
    assert all(not now.equal(old) for now, old in zip(module.parameters(), before, strict=True))
    fit(Mixed())
