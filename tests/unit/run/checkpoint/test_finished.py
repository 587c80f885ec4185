"""A run that would go no further is told from one that would."""

import pytest

from ltrec.config.load import load
from ltrec.run.checkpoint.finished import why_finished
from ltrec.training.callbacks.patience import Patience


def state(step: int, waited: int = 0, monitor: str = "val/ndcg@10"):
    return {"global_step": step, "callbacks": {Patience(monitor, 1).state_key: {"wait_count": waited}}}


@pytest.mark.parametrize(
    ("words", "held", "told"),
    [
        (["trainer.max_epochs=3"], state(12), "finished at epoch 3 (trainer.max_epochs=3); nothing to do"),
        (["trainer.max_epochs=9"], state(12), None),
        (["trainer.max_epochs=9", "trainer.patience=5"], state(24, 5), "finished at epoch 6 (5 validations without a rise"),
        (["trainer.max_epochs=9", "trainer.patience=6"], state(24, 5), None),
        (["trainer.max_epochs=9", "trainer.patience=0"], state(24, 5), None),
        (["trainer.max_epochs=9", "trainer.max_steps=10"], state(10), "finished at step 10, epoch 2.50 (trainer.max_steps=10)"),
        (["trainer.max_epochs=9", "trainer.max_steps=11"], state(10), None),
        (["trainer.monitor=val/hr@10", "trainer.patience=5"], state(24, 5), None),
        (["trainer.monitor=val/hr@10", "trainer.patience=5"], state(24, 5, "val/hr@10"), "trainer.patience=5"),
    ],
)
def test_why_a_run_is_over(words, held, told):
    found = why_finished(load([], words), held, steps_per_epoch=4)
    assert found is None if told is None else told in found


def test_it_is_over_where_lightning_says_so():
    """The callback's own key, in case an upgrade names it otherwise."""
    assert Patience("val/ndcg@10", 1).state_key.startswith("Patience{'monitor': 'val/ndcg@10'")
