"""The counts that a step divides by are summed over ranks during its forward pass; only strata run alone wait before it."""

import pytest

from benchmarks.harness.steps import WAYS, Size, batches_of, fit
from ltrec.distributed.collectives import Collectives
from ltrec.training.module import BackboneModule

FIRST = {"joint": "losses", "weighted": "losses", "per_stratum, segments": "losses", "per_stratum": "counts"}


class Noted:
    """A collective that notes when it is waited for."""

    def __init__(self, events):
        self.events = events

    def wait(self):
        """It is there."""
        self.events.append("counts")


@pytest.mark.parametrize("way", FIRST)
def test_the_forward_pass_does_not_wait_for_counts(way, monkeypatch):
    events, losses = [], BackboneModule.losses

    def noted(module, batch):
        events.append("losses")
        return losses(module, batch)

    monkeypatch.setattr(BackboneModule, "losses", noted)
    monkeypatch.setattr(Collectives, "all_reduce", lambda *_: Noted(events))
    size = Size(rows=8, max_len=5, items=20, width=4, strata=2)
    fit(size, WAYS[way], batches_of(size, 1), [])
    assert events[0] == FIRST[way] and "counts" in events
