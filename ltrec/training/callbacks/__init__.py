"""The callbacks of a run, one a file, and the order in which Lightning calls them.

Every hook of every callback runs in one order, that of the class attribute `priority`: the higher, the earlier. `in_order` sorts
the list before the trainer gets it; callbacks of the same priority stay in the order of the list.

    priority  callback          what it does, and why there
    100       RestoreCheck      refuses a checkpoint whose state makes no sense, before anybody acts on it
     90       ProgressPrinter   prints the progress, from what the others knew when the hook began
     80       StepLimit         tells the trainer its limit of steps, before the first batch
     70       RuleState         carries the aggregation rule's memory; has no hooks but those of checkpoints
     60       Health            times steps: what the callbacks below do after a step is not the step's time
     50       Switch            wakes the plugins, drops gradients: before anybody measures them or averages weights
     40       WeightAverage     averages the weights, and swaps the average in for validation
     30       RankConsistency   compares the ranks' weights and averages, before anything is written or saved
     20       Cursor            moves the stream's cursor past the finished step, before anything is saved
     10       Telemetry         writes a line of metrics.jsonl, before a checkpoint notes that file's length
      5       QuarantineLedger  writes what was damaged and replaced, before a checkpoint notes that file's length
      0       yours             (the default) sees the finished step and its metrics, and is part of the step's checkpoint
    -10       Patience          decides whether to stop, before the epoch's checkpoint is written
    -20       Checkpoints       saves last.ckpt, stage1.ckpt and best.ckpt
    -30       Watchdog          writes the stacks of a run that hangs; a checkpoint that was written counts as progress
    -40       Profile           records a trace of a few steps
    -50       Preemption        stops on request; last, so that what it saves is complete, and it ends the run by an exception

A callback given by class path (`trainer.callbacks`) has priority 0 unless its class says otherwise. Lightning itself moves its
tuners (`BatchSizeFinder`, `LearningRateFinder`) to the front of the list and every `Checkpoint` (`ModelCheckpoint`) to its end,
whatever their priority; our `Checkpoints` is not one of those, so `Preemption` can come after it. And at the end of a training
epoch Lightning calls every `EarlyStopping` and `Checkpoint` after all other callbacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytorch_lightning.callbacks import Callback


def priority_of(callback: Callback) -> int:
    """The callback's `priority`; 0 where its class has none."""
    return int(getattr(callback, "priority", 0))


def in_order(callbacks: Iterable[Callback]) -> list[Callback]:
    """Sort callbacks by priority, the highest first; equals keep their order."""
    return sorted(callbacks, key=priority_of, reverse=True)
