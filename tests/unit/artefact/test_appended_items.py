"""Items appended to an exported model: their vectors are those of items with the same columns that training never saw."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ltrec.artefact.card import card
from ltrec.artefact.dense.program import ALLOWED, FALLBACK, FALLBACK_SCORE
from ltrec.artefact.dense.scorers import CANDIDATES
from ltrec.artefact.facts import Measurements
from ltrec.artefact.items.appended import NewItems, extended_tables, read_new_items
from ltrec.artefact.parity import Parity
from ltrec.artefact.recommender import program_of, vectors_of
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.models.backbones.din import DIN
from ltrec.models.plugins.copies import Copies
from ltrec.run.build.components import open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.detect import detect
from ltrec.run.train import train
from tests.support.inputs import column_data, every_input
from tests.support.tiny_run import tiny_data, tiny_words
from tests.unit.artefact.test_card import FACTS

NEW = {
    "item_id": ["n1", "i3", "n2", "n3"],
    "brand": ["brand-4", "brand-2", None, "a brand that nobody knows"],
    "genres": [["genres-2", "genres-3"], [], None, ["genres-2", "what?"]],
    "price": [30.0, 1.0, float("nan"), None],
    "released": [86400 * 31 * 30, 0, None, 5],
    "text": [[0.5, -1.0, 2.0], [0, 0, 0], None, [1.0, 1.0, 1.0]],
}
"""Three new items and one that is known; the first has the columns of item 31, but for its text."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("appended")
    words = tiny_words(column_data(folder / "data"), folder / "runs", "inputs.items=[all]", "trainer.max_epochs=2", "optim.lr=0.01")
    run = RunFolder(train(load([], words)).path)
    config = reopen(run)
    return config, open_data(config), find_checkpoint(run, "best")


def written(folder: Path, **changed) -> Path:
    """The table with some columns changed; None = without it."""
    columns = {name: values for name, values in {**NEW, **changed}.items() if values is not None}
    pq.write_table(pa.table(columns), folder / "new.parquet")
    return folder / "new.parquet"


def program(opened):
    return program_of(*opened, detect(), None, k=5, weights=None)


def test_the_same_columns_give_the_vector_of_an_item_without_training_events(opened, tmp_path):
    config, data, _ = opened
    made, stored = program(opened), pq.read_table(data.folder / "items/items.parquet").to_pylist()[30]
    assert int(data.vocabulary.train_count[31]) == 0
    stored = {name.removeprefix("item."): value for name, value in stored.items()}
    twin = {
        "item_id": ["twin"],
        "brand": [f"brand-{stored['brand']}" if stored["brand"] > 1 else [None, "?"][stored["brand"]]],
        "genres": [[f"genres-{word}" for word in stored["genres"]]],
        "price": [stored["price"]],
        "released": [stored["released"]],
        "text": [stored["text"]],
    }
    new = read_new_items(written(tmp_path, **twin), config, data)
    tables = extended_tables(made.tables, made.backbone, new, allowed=True)
    vectors = tables["item_vectors"]
    assert torch.allclose(vectors[32], vectors[31], atol=1e-6) and vectors[31].abs().max() > 1e-3
    assert torch.equal(vectors[:32], made.tables["item_vectors"])
    assert tables[ALLOWED][32] and tables[FALLBACK_SCORE][32] == 0 and tables[FALLBACK].argmin() == 32
    assert tables[FALLBACK].argsort(descending=True)[:-1].tolist() == made.tables[FALLBACK].argsort(descending=True).tolist()


def test_missing_and_unknown_values_have_ids_of_their_own(opened, tmp_path):
    new = read_new_items(written(tmp_path), *opened[:2])
    assert new.item_id == ("n1", "n2", "n3") and new.known == 1
    assert new.values["brand"].tolist() == [4, 0, 1]
    assert new.values["genres"].tolist() == [[2, 3], [0, 0], [2, 1]]
    assert new.values["price"][1:].isnan().all() and new.values["text"][1].tolist() == [0, 0, 0]
    assert new.values["released"].tolist() == [86400 * 31 * 30, -(2**63), 5]


def test_items_that_may_not_be_recommended_are_known_in_histories(opened, tmp_path):
    made, new = program(opened), read_new_items(written(tmp_path), *opened[:2])
    tables = extended_tables(made.tables, made.backbone, new, allowed=False)
    with torch.no_grad():
        scores, items = made.program(torch.tensor([[33, 34], [5, 0]]), {}, {}, tables)
    assert scores.isfinite().all() and items.max() <= 31
    tables = extended_tables(made.tables, program(opened).backbone, new, allowed=True)
    with torch.no_grad():
        _, items = made.program(torch.tensor([[33, 34, 0]]), {}, {}, {**tables, ALLOWED: torch.arange(35) > 30})
    assert {*items[0].tolist()} >= {31, 32} and not {33, 34} & {*items[0, :2].tolist()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"item_id": ["a", "b", None, "c"]}, "the column 'item_id': row 3 has no id"),
        ({"item_id": ["a", "b", "a", "c"]}, "item 'a' occurs twice, in rows 1 and 3"),
        ({"item_id": ["i1", "i2", "i3", "i4"]}, "all 4 items are in the data set already"),
        ({"item_id": None}, "has no column with the item ids: name it 'item_id'"),
        ({"brand": None}, "has no column with the item column 'brand': name it 'item.brand' or 'brand'; it has item_id, genres"),
        ({"price": ["much", "1", "2", "3"]}, "row 1: price='much'"),
        ({"price": [1.0, 2.0, float("inf"), 3.0]}, "row 3: price=inf"),
        ({"text": [[1.0], [1.0, 2, 3], None, None]}, r"row 1: text=\[1.0\]: not 3 numbers"),
        ({"released": [[1], [2], [3], [4]]}, "the column 'released' has type list<.*; a time must be"),
    ],
)
def test_mistakes_are_one_line(opened, tmp_path, changed, message):
    with pytest.raises(UserError, match=message) as caught:
        read_new_items(written(tmp_path, **changed), *opened[:2])
    assert "\n" not in str(caught.value)


def test_no_table_is_one_line(opened, tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    for name in ("x.parquet", "none.parquet"):
        with pytest.raises(UserError, match=f"{name} cannot be read as Parquet"):
            read_new_items(tmp_path / name, *opened[:2])


def test_without_item_columns_there_is_nothing_to_rank_by(tmp_path):
    config = load([], tiny_words(tiny_data(tmp_path / "data"), tmp_path))
    with pytest.raises(UserError, match=r"--items: the run uses no item columns.* skipped in histories and never recommended"):
        read_new_items(written(tmp_path), config, open_data(config))


def test_the_card_says_how_many():
    text = card({**FACTS, "appended": 3}, Measurements(None, ()), Parity(1, 0.0, 0))
    assert "It knows 3 items more than the data set, without training events" in text
    seen = {**FACTS, "appended": 1, "protocol": {"candidates": "seen"}}
    assert "which are not recommended (candidates seen)" in card(seen, Measurements(None, ()), Parity(1, 0.0, 0))


@pytest.mark.parametrize("id_neighbours", [0, 3])
def test_every_model_of_copies_is_extended_with_borrowed_ids_too(id_neighbours):
    torch.manual_seed(0)
    inputs = every_input(12, untrained=(5,), id_neighbours=id_neighbours)
    copies = Copies(DIN(12, 6, inputs, width=8, layers=(6, 4)), num_strata=2)
    copies.wake(1)
    for parameter in copies.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        tables = vectors_of(copies.eval()) | {ALLOWED: torch.arange(13) > 0, CANDIDATES: torch.arange(1, 13)}
    tables |= {FALLBACK: torch.arange(13.0), FALLBACK_SCORE: torch.arange(13.0)}
    values = {column.name: column.values[[5]] for column in inputs.items}
    found = extended_tables(tables, copies, NewItems(("twin",), values, 0), allowed=True)
    for name in ("item_vectors.0", "item_vectors.1"):
        assert found[name].shape == (14, 8) and torch.allclose(found[name][13], found[name][5], atol=1e-5)
        assert torch.equal(found[name][:13], tables[name]) and found[name][5].abs().max() > 0.1
    assert not torch.allclose(found["item_vectors.0"], found["item_vectors.1"])
    assert found[CANDIDATES].tolist() == [*range(1, 14)]
