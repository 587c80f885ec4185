"""Callbacks act in the order of their priorities, whatever order they are given in; Lightning keeps that order."""

import importlib
import pkgutil
import random
import re

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, LambdaCallback, ModelCheckpoint

import ltrec
import ltrec.run.train as training
from ltrec.training import callbacks as room
from ltrec.training.callbacks import in_order, priority_of
from ltrec.training.callbacks.checkpoints import Checkpoints
from tests.support.tiny_run import checkpoint, tiny_config

TABLE = {name: int(number) for number, name in re.findall(r"^ {3,}(-?\d+) +(\w+) ", room.__doc__, re.MULTILINE)}
"""Priority of each callback as the package documents it."""

EVERYTHING = (
    *("gradients.name=stratified", "strategy.check_every_steps=2", "trainer.ema=0.9", "trainer.patience=5"),
    *("plugin.name=bottleneck", "plugin.switch.at=1", "trainer.stall_seconds=60", "trainer.max_epochs=2"),
    "stream.on_damage=quarantine",
)


def own_callbacks():
    """Every callback class of the package, by name."""
    for module in pkgutil.walk_packages(ltrec.__path__, "ltrec."):
        if module.name.startswith(("ltrec.training.", "ltrec.run.", "ltrec.strategy.")) and "deepspeed" not in module.name:
            importlib.import_module(module.name)
    found, waiting = {}, [Callback]
    while waiting:
        waiting += (subclasses := waiting.pop().__subclasses__())
        found |= {one.__name__: one for one in subclasses if one.__module__.startswith("ltrec.")}
    return found


def test_every_callback_has_a_priority_of_its_own_and_is_in_the_table():
    priorities = {name: vars(one)["priority"] for name, one in own_callbacks().items()}
    assert priorities == {name: number for name, number in TABLE.items() if name != "yours"}
    assert len(set(TABLE.values())) == len(TABLE) and list(TABLE.values()) == sorted(TABLE.values(), reverse=True)
    assert TABLE["yours"] == priority_of(LambdaCallback()) == 0


def test_a_run_with_everything_has_the_tables_order(data, tmp_path, monkeypatch):
    """The list is shuffled before the trainer gets it; a callback of the user's comes where the table says."""
    made, make_trainer, build = [], training.make_trainer, training.build_callbacks

    def shuffled(*args, **options):
        found = [*build(*args, **options), LambdaCallback()]
        random.Random(4).shuffle(found)
        return found

    def noted(*args, **options):
        made.append(make_trainer(*args, **options))
        return made[-1]

    monkeypatch.setattr(training, "build_callbacks", shuffled)
    monkeypatch.setattr(training, "make_trainer", noted)
    training.train(tiny_config(data, tmp_path, *EVERYTHING), profile=1)
    [trainer] = made
    assert [type(callback).__name__ for callback in trainer.callbacks] == [
        "LambdaCallback" if name == "yours" else name for name in TABLE
    ]


def test_lightning_keeps_the_order_and_moves_its_own_checkpoints_last():
    one, other = LambdaCallback(), LambdaCallback()
    last, first = Callback(), Callback()
    last.priority, first.priority = -60, 200
    saver = ModelCheckpoint()
    saver.priority = 300
    made = in_order([last, one, saver, first, other])
    assert made == [saver, first, one, other, last], "equals keep their order"
    trainer = pl.Trainer(callbacks=made, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    assert trainer.callbacks == [first, one, other, last, saver]


def test_a_user_callback_sees_the_finished_step_and_is_in_its_checkpoint(data, tmp_path, monkeypatch):
    class Count(Callback):
        steps = 0

        def on_train_batch_end(self, trainer, *_):
            assert trainer.datamodule.loader.next_step == trainer.global_step, "the cursor has moved"
            [saved] = [callback for callback in trainer.callbacks if isinstance(callback, Checkpoints)]
            assert saved.last_step < trainer.global_step, "the step is not saved yet"
            self.steps += 1

        def state_dict(self):
            return {"steps": self.steps}

    counter, build = Count(), training.build_callbacks
    monkeypatch.setattr(training, "build_callbacks", lambda *args, **options: [counter, *build(*args, **options)])
    run = training.train(tiny_config(data, tmp_path, "trainer.checkpoint_every_steps=3", "trainer.max_epochs=1"))
    assert counter.steps == 4 == checkpoint(run.path)["callbacks"][counter.state_key]["steps"]
