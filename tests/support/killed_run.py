"""A training run that dies at a chosen moment, in this process, as SIGKILL would end it."""

from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from tests.support.extra_callbacks import extra


class Kill(BaseException):
    """Ends the process's work at once: nothing that handles errors sees it coming."""


class KillAt(Callback):
    def __init__(self, step, hook):
        self.step, self.hook = step, hook

    def on_train_batch_end(self, trainer, *_):
        if self.hook == "batch" and trainer.global_step == self.step:
            raise Kill

    def on_validation_end(self, trainer, *_):
        if self.hook == "validation" and trainer.global_step == self.step:
            raise Kill


def train_killed(configuration, step, hook="batch", *, first=False):
    """Train until `step`; die after that step's callbacks acted, or before (`first`)."""
    with extra(KillAt(step, hook), first=first):
        try:
            training.train(configuration)
        except Kill:
            return
    raise AssertionError("nothing killed the run")
