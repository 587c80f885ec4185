"""Neighbours of a run: counted once, kept in its folder, counted again when they are damaged, or of other data or options."""

from __future__ import annotations

import pytest
import torch

from ltrec.data.neighbours.config import CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.count import count_neighbours, made_of
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.run.build.components import Data
from ltrec.run.scoring import neighbour_counts as module
from ltrec.run.scoring.neighbour_counts import load_or_count
from tests.support.shards import random_users, write_dataset


def data_in(folder, seed=0) -> Data:
    manifest = write_dataset(folder, random_users([9, 14], seed=seed))
    return Data(folder, manifest, Vocabulary.load(folder, manifest))


@pytest.fixture
def counts(monkeypatch):
    """How often was counted."""
    done = []

    def count(*args, **kwargs):
        done.append(args[2])
        return count_neighbours(*args, **kwargs)

    monkeypatch.setattr(module, "count_neighbours", count)
    return done


def test_counts_are_read_the_next_time(tmp_path, counts):
    data = data_in(tmp_path / "data")
    first, again = (load_or_count(tmp_path / "run" / "n.parquet", NeighboursConfig(), data) for _ in range(2))
    assert len(counts) == 1
    assert first.digest == again.digest == count_neighbours(data.folder, data.manifest).digest
    assert torch.equal(first.item_VN, again.item_VN)


def test_counts_of_other_data_or_options_are_made_again_with_a_note(tmp_path, counts, capsys):
    path, data, other = tmp_path / "n.parquet", data_in(tmp_path / "data"), data_in(tmp_path / "other", seed=1)
    asked = [
        (NeighboursConfig(), data),
        (NeighboursConfig(max_gap=2), data),
        (CoOccurrenceConfig(), data),
        (CoOccurrenceConfig(), other),
    ]
    for config, of in asked:
        assert load_or_count(path, config, of).made_of == made_of(of.manifest, config)
    assert len(counts) == 4
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and all(f"{path} was counted with " in line and line.endswith(": counting again") for line in said)


def test_a_damaged_file_is_counted_again_with_a_note(tmp_path, counts, capsys):
    path, data = tmp_path / "n.parquet", data_in(tmp_path / "data")
    before = load_or_count(path, NeighboursConfig(), data)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert load_or_count(path, NeighboursConfig(), data).digest == before.digest
    assert path.read_bytes() == whole
    [line] = capsys.readouterr().err.splitlines()
    assert f"{path} is damaged (" in line and line.endswith("): counting again")
    assert len(counts) == 2
