"""What the host knows of a batch stays what the batch says, whatever rows are taken from it."""

from dataclasses import replace

import pytest
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.core.rows.on_host import HostRows, note_rows, rows_of_positions, to_device
from tests.support.sequences import histories


@pytest.fixture
def batch():
    plain = replace(histories([3, 0, 5, 1, 2], 9, strata=[1, 0, 2, -1, 1]), slot_B=torch.tensor([4, 2, 0, 1, 3]))
    return replace(plain, host=plain.known)


def check(batch):
    assert batch.host is not None
    for name in ("lengths_B", "stratum_B", "slot_B"):
        assert torch.equal(getattr(batch.host, name), getattr(batch, name)), name
    assert batch.host.num_positions == batch.items_T.numel()


def test_selected_split_and_joined_rows(batch):
    chosen = batch.select(torch.tensor([2, 4, 0]))
    parts = batch.split([2, 0, 3])
    for part in (batch, chosen, *parts, SequenceBatch.concatenate(parts), chosen.split([1, 2])[1]):
        check(part)
    assert torch.equal(SequenceBatch.concatenate(parts).items_T, batch.items_T)


def test_joining_with_unknown_rows_is_not_known(batch):
    assert SequenceBatch.concatenate([batch, replace(batch, host=None)]).host is None


def test_runs_of_unknown_length_are_not_known(batch):
    assert batch.last(torch.tensor([0, 2]), torch.tensor([1, 4])).host is None


def test_it_stays_on_the_host(batch):
    moved = batch.to("meta")
    assert moved.items_T.device.type == "meta"
    assert moved.host is batch.host


def test_an_unknown_batch_is_read(batch):
    known = replace(batch, host=None).known
    assert known.lengths_B.tolist() == [3, 0, 5, 1, 2]
    assert known.slot_B.tolist() == [4, 2, 0, 1, 3]


def test_positions_of_strata_and_borders(batch):
    assert batch.known.positions_of_strata(3) == [1, 0, 5, 5]
    assert batch.known.borders([0, 1, 2, 5]) == [0, 3, 3, 11]


def test_strata_of_positions_know_their_rows(batch):
    strata_T = batch.stratum_of_position()
    assert rows_of_positions(strata_T) is batch.host
    assert rows_of_positions(strata_T + 0) is None
    assert rows_of_positions(note_rows(torch.zeros(2), None)) is None


def test_what_is_there_already_is_not_copied():
    values = torch.ones(2)
    assert to_device(values, values.device) is values
    assert to_device(values, torch.device("meta")).device.type == "meta"


def test_slots_are_joined_where_all_have_them():
    with_slots, without = HostRows(torch.ones(1), torch.zeros(1), torch.zeros(1)), HostRows(torch.ones(1), torch.zeros(1))
    assert HostRows.concatenate([with_slots, without]).slot_B is None
    assert HostRows.concatenate([with_slots, with_slots]).slot_B.numel() == 2
