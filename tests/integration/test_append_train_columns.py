"""A run with columns goes on over data with new items, values and users."""

from __future__ import annotations

import pytest
import torch

import ltrec.run.train as training
from ltrec.core.errors import UserError
from ltrec.data.prepare.pipeline import prepare
from tests.support.columned_days import config_of_day, grow
from tests.support.tiny_run import checkpoint, tiny_config

COLUMNS = ["inputs.items=[all]", "inputs.events=[all,time_gap]", "inputs.users=[all]"]
STILL = ["trainer.max_steps=1", "optim.lr=1e-30"]


def train(data, out, *words):
    return training.train(tiny_config(data, out, *COLUMNS, *words)).path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return grow(tmp_path_factory.mktemp("days"), block_rows=32)


@pytest.fixture(scope="module")
def first(made, tmp_path_factory):
    """A run on the parent."""
    return train(made.parent, tmp_path_factory.mktemp("first"), "trainer.max_epochs=1")


def test_weights_stay_with_items_and_values_and_new_ones_begin_as_in_a_new_run(made, first, tmp_path):
    before = checkpoint(first, "best")["state_dict"]
    for name in ("grown", "full"):
        found = checkpoint(train(made.folder / name, tmp_path / name, f"init_from={first}", *STILL))["state_dict"]
        assert found.keys() == before.keys()
        assert all(torch.equal(found[key][: len(value)] if value.ndim else found[key], value) for key, value in before.items())
        grown = {key: len(found[key]) - len(value) for key, value in before.items() if value.ndim and len(found[key]) > len(value)}
        old, new = made.manifest("parent"), made.manifest(name)
        more = [n.size - o.size for o, n in zip(old.columns, new.columns, strict=True)] + [new.vocab.items - old.vocab.items]
        assert sorted(grown.values()) == sorted(filter(None, more))
        assert all(found[key][len(before[key]) :].std() > 0 for key in grown)


def test_values_with_other_ids_are_refused(made, first, tmp_path):
    columns = {"type": config_of_day(made.folder, 0).event_columns["type"]}
    prepare(config_of_day(made.folder, 0, 1, event_columns=columns), tmp_path / "other", like=made.parent)
    with pytest.raises(UserError, match="ids of its columns' values are not those of the data that it goes back to"):
        train(tmp_path / "other", tmp_path, f"init_from={first}", *STILL)
