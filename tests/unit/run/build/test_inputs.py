"""Columns by name: what a model is built of, what the stream must read, and what is refused."""

import pytest
import torch

from ltrec.columns.schema import Projection
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.models.inputs import ColumnItems, IdVectors
from ltrec.run.build.components import build_backbone, build_plan, open_data
from ltrec.run.build.inputs import projection_of
from ltrec.run.build.training import build_module
from tests.support.inputs import column_data
from tests.support.shards import random_users, write_dataset
from tests.support.tiny_run import tiny_words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return column_data(tmp_path_factory.mktemp("columns") / "data")


def built(folder, *words):
    config = load([], tiny_words(folder, folder.parent / "runs", *words))
    data = open_data(config)
    return build_backbone(config, data), data


def test_columns_become_what_their_kinds_say(folder):
    model, data = built(folder, "inputs.items=[text,genres,brand]", "inputs.events=[type,time_gap]", "inputs.users=[all]")
    assert list(model.items.columns) == ["of_brand", "of_genres", "of_text"]  # in the data set's order
    assert list(model.events.columns) == ["of_type"] and model.events.gap is not None
    assert set(model.events.users) == {"of_age"}
    assert model.items.columns["of_brand"].values.tolist()[:4] == [0, 0, 1, 2]  # of padding, and of items 1, 2, 3
    assert model.items.columns["of_genres"].values.tolist()[1:5] == [[0, 0, 0], [2, 0, 0], [2, 3, 0], [2, 3, 4]]
    assert model.items.columns["of_text"].values.shape == (data.manifest.vocab.items + 1, 3)
    assert torch.equal(model.items.has_id, data.vocabulary.train_count > 0) and not model.items.has_id[-1]


def test_all_is_every_column_of_that_kind_of_thing(folder):
    model, _ = built(folder, "inputs.items=[all]", "inputs.events=[all]")
    assert set(model.items.columns) == {"of_brand", "of_genres", "of_price", "of_released", "of_text"}
    assert set(model.events.columns) == {"of_type", "of_dwell"} and model.events.gap is None and not model.events.users


def test_without_columns_a_model_of_such_data_is_what_it_was(folder, tmp_path):
    with_table, _ = built(folder)
    assert isinstance(with_table.items, IdVectors) and with_table.events is None
    write_dataset(tmp_path / "data", random_users([40, 30, 20], num_items=30, longest=8), num_items=31)
    without, _ = built(tmp_path / "data")
    assert with_table.state_dict().keys() == without.state_dict().keys()
    assert all(torch.equal(value, without.state_dict()[name]) for name, value in with_table.state_dict().items())


def test_the_same_seed_makes_the_same_model(folder):
    first, second = (built(folder, "inputs.items=[all]", "inputs.users=[all]")[0].state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "din"])
def test_every_backbone_takes_them(folder, name):
    config = load(
        [], [f"data.path={folder}", f"model.name={name}", "objective.name=bce", "inputs.items=[brand]", "inputs.events=[time_gap]"]
    )
    model = build_backbone(config, open_data(config))
    assert isinstance(model.items, ColumnItems) and model.events is not None


def test_the_stream_reads_the_configured_columns_and_no_more(folder):
    manifest = built(folder)[1].manifest

    def read(*words, times=False):
        return projection_of(load([], list(words)).inputs, manifest, times=times)

    assert not read() and not read("inputs.items=[all]")
    assert read("inputs.events=[dwell]") == Projection(("dwell",))
    assert read("inputs.events=[all,time_gap]", "inputs.users=[age]") == Projection(("type", "dwell", "time"), ("age",))
    assert read(times=True) == Projection(("time",)) == read("inputs.events=[time_gap]")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["inputs.items=[genre]"],
            r"inputs.items: data set 'tiny' has no item column 'genre' \(did you mean 'genres'\?\); it has br",
        ),
        (["inputs.events=[genres]"], "has no event column 'genres'"),
        (["inputs.users=[ages]"], r"has no user column 'ages' \(did you mean 'age'\?\); it has age"),
    ],
)
def test_an_unknown_column_is_refused_with_the_nearest(folder, words, message):
    with pytest.raises(UserError, match=message) as caught:
        built(folder, *words)
    assert "\n" not in str(caught.value)


def test_data_without_columns_say_how_to_get_some(tmp_path):
    write_dataset(tmp_path / "data", random_users([40, 30, 20], num_items=30, longest=8), num_items=30)
    with pytest.raises(UserError, match=r"inputs.items=all: data set 'tiny' has no item columns; declare them .* --overwrite, or"):
        built(tmp_path / "data", "inputs.items=[all]")


@pytest.mark.parametrize(
    ("words", "message"),
    [("[a,a]", "items must differ; got a, a"), ("[all,a]", "items: all already includes every column; got all, a")],
)
def test_lists_that_say_the_same_twice(words, message):
    with pytest.raises(UserError, match=message):
        load([], [f"inputs.items={words}"])


def test_ddp_leaves_the_data_s_own_tables_alone(folder):
    config = load([], [*tiny_words(folder, folder.parent / "runs"), "inputs.items=[all]", "objective.proposal=popularity"])
    data = open_data(config)
    module = build_module(config, data, build_plan(config, data))
    kept, names = module.state_dict(), module._ddp_params_and_buffers_to_ignore
    assert "backbone.items.columns.of_text.values" in names and not set(names) & kept.keys()
    assert {name for name, _ in module.named_buffers()} == set(names) | (kept.keys() & dict(module.named_buffers()).keys())
