"""A training run that dies at a chosen moment, in this process, as SIGKILL would end it."""

from unittest import mock

from pytorch_lightning.callbacks import Callback

import ltrec.launch.training as training


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


def train_killed(configuration, step, hook="batch"):
    """Train until `step`; die after that step's callbacks acted."""
    make = training._working_callbacks
    with mock.patch.object(training, "_working_callbacks", lambda *args: [*make(*args), KillAt(step, hook)]):
        try:
            training.train(configuration)
        except Kill:
            return
    raise AssertionError("nothing killed the run")
